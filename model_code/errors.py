"""Every failure the endpoint's container can report.

    ModelCodeError
    ├── BrokenArtifact            the model's files are not what model.json says: refuse to start
    └── InvocationError           one invocation failed; `status` is its HTTP status
        ├── InvalidRequest        400  a JSON body that is not an empty object
        ├── ImageTooLarge         413  more bytes or pixels than the limit
        ├── UnsupportedMediaType  415  neither an image type nor JSON
        ├── NotAnImage            422  cannot be decoded as JPEG, PNG or WebP
        └── Overloaded            503  more invocations wait than are worth waiting

The text of an `InvocationError` is one line that may be shown to the caller.
"""


class ModelCodeError(Exception):
    """The base of everything that `model_code` raises on purpose."""


class BrokenArtifact(ModelCodeError):
    """The model's folder cannot be served: the message names the file and what is wrong."""


class InvocationError(ModelCodeError):
    """An invocation that ends with an HTTP status other than 200."""

    status = 500


class InvalidRequest(InvocationError):
    status = 400


class ImageTooLarge(InvocationError):
    status = 413


class UnsupportedMediaType(InvocationError):
    status = 415


class NotAnImage(InvocationError):
    status = 422


class Overloaded(InvocationError):
    status = 503
