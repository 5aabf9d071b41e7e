#!/bin/bash
# Runs once, as root, on the training machine. Whatever happens, the machine ends: `shutdown`
# terminates it (InstanceInitiatedShutdownBehavior), and nothing is billed any more.
set -euo pipefail

REGION=$region
DATA=$data
RUN=$run
WORK=$${WORK:-/var/lib/whatbreed}

shutdown -h +$minutes "whatbreed: the longest time is over"
finish() {
    code=$$?
    set +e
    test -n "$${SYNC:-}" && kill "$$SYNC" 2>/dev/null
    if [ -d "$$WORK/run" ]; then
        aws s3 sync --region "$$REGION" --only-show-errors "$$WORK/run" "$$RUN/run"
    fi
    echo "whatbreed: ended with $$code"
    shutdown -h now
    exit "$$code"
}
trap finish EXIT

mkdir -p "$$WORK/source" "$$WORK/photos" "$$WORK/run"
cd "$$WORK"

# -- install
if ! command -v python3.11 >/dev/null; then
    dnf install --quiet --assumeyes python3.11 python3.11-pip
fi
aws s3 cp --region "$$REGION" --only-show-errors "$$RUN/source.tar.gz" source.tar.gz
tar -xzf source.tar.gz -C source
python3.11 -m venv venv
venv/bin/pip install --quiet --requirement source/requirements.txt

# -- photos, and what an earlier machine of this run left
aws s3 sync --region "$$REGION" --only-show-errors "$$DATA" photos
aws s3 sync --region "$$REGION" --only-show-errors "$$RUN/run" run

# -- train; checkpoints go to S3 while it does, so that the next machine can go on
(
    trap 'kill "$$NAP"; exit' TERM
    while true; do
        sleep 60 &
        NAP=$$!
        wait "$$NAP"
        aws s3 sync --region "$$REGION" --only-show-errors "$$WORK/run" "$$RUN/run" || true
    done
) &
SYNC=$$!
cd source
../venv/bin/python -m training train --data ../photos --output ../run $options
../venv/bin/python -m training export --run ../run --data ../photos --output ../model

# -- the model, as `deploy` takes it
tar -czf ../model.tar.gz -C ../model .
aws s3 cp --region "$$REGION" --only-show-errors ../model.tar.gz "$$RUN/model.tar.gz"
