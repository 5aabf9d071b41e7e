#!/bin/bash
# Run once by root at the first boot of the training instance. Every exit shuts the instance down,
# which terminates it (InstanceInitiatedShutdownBehavior) and ends the bill.
set -euo pipefail

REGION=$region
DATA=$data
RUN=$run
WORK=$${WORK:-/var/lib/whatbreed}

shutdown -h +$minutes "whatbreed: max_hours is over"

s3_sync() {
    aws s3 sync --region "$$REGION" --only-show-errors "$$1" "$$2"
}
s3_copy() {
    aws s3 cp --region "$$REGION" --only-show-errors "$$1" "$$2"
}
finish() {
    code=$$?
    set +e
    test -n "$${SYNC:-}" && kill "$$SYNC" 2>/dev/null
    test -d "$$WORK/run" && s3_sync "$$WORK/run" "$$RUN/run"
    echo "whatbreed: exit code $$code"
    shutdown -h now
    exit "$$code"
}
trap finish EXIT

mkdir -p "$$WORK/source" "$$WORK/photos" "$$WORK/run"
cd "$$WORK"

# -- Install.
if command -v python3.11 >/dev/null; then
    PYTHON=python3.11
elif command -v dnf >/dev/null; then
    PYTHON=python3.11
    dnf install --quiet --assumeyes python3.11 python3.11-pip
else # Ubuntu 24.04 has Python 3.12; Canonical's image lacks AWS's command
    PYTHON=python3
    apt-get update --quiet
    DEBIAN_FRONTEND=noninteractive apt-get install --quiet --yes python3-venv
    export PATH="$$PATH:/snap/bin"
    command -v aws >/dev/null || snap install aws-cli --classic
fi
s3_copy "$$RUN/source.tar.gz" source.tar.gz
tar -xzf source.tar.gz -C source
"$$PYTHON" -m venv venv
venv/bin/pip install --quiet --requirement source/requirements.txt

# -- Download the photos, and the checkpoints of an earlier instance of this run.
s3_sync "$$DATA" photos
s3_sync "$$RUN/run" run

# -- Upload checkpoints every minute while training, so that another instance can resume.
(
    trap 'kill "$$NAP"; exit' TERM
    while true; do
        sleep 60 &
        NAP=$$!
        wait "$$NAP"
        s3_sync "$$WORK/run" "$$RUN/run" || true
    done
) &
SYNC=$$!

# -- Train, and upload the model as `ops endpoint deploy` takes it.
cd source
../venv/bin/python -m training train --data ../photos --output ../run $options
../venv/bin/python -m training export --run ../run --data ../photos --output ../model
tar -czf ../model.tar.gz -C ../model .
s3_copy ../model.tar.gz "$$RUN/model.tar.gz"
