"""Every failure that the endpoint's container can report.

    ModelCodeError
    ├── BrokenArtifact            the model's files do not match model.json; refuse to start
    └── InvocationError           an invocation failed; `status` is its HTTP status
        ├── InvalidRequest        400  a JSON body that is not an empty object
        ├── RequestTimeout        408  the body did not arrive in time
        ├── ImageTooLarge         413  too many bytes or pixels, or too costly to decode
        ├── UnsupportedMediaType  415  neither an image type nor JSON
        ├── NotAnImage            422  not an intact image of a supported format
        └── Overloaded            429  too many invocations are waiting: an error of the client to
                                       SageMaker, whose alarms would roll back a new model for 5xx

The text of an `InvocationError` is one sentence that may be shown to the caller.
"""


class ModelCodeError(Exception):
    """The base of all errors of this package."""


class BrokenArtifact(ModelCodeError):
    """The model folder cannot be served."""


class InvocationError(ModelCodeError):
    """An invocation failed."""

    status = 500


class InvalidRequest(InvocationError):
    status = 400


class RequestTimeout(InvocationError):
    status = 408


class ImageTooLarge(InvocationError):
    status = 413


class UnsupportedMediaType(InvocationError):
    status = 415


class NotAnImage(InvocationError):
    status = 422


class Overloaded(InvocationError):
    status = 429
