#!/bin/bash
# Run once by root at the first boot of the training instance. Every exit shuts the instance down,
# which terminates it (InstanceInitiatedShutdownBehavior) and ends the bill.
set -euo pipefail

REGION=$region
DATA=$data
RUN=$run
WORK=$${WORK:-/var/lib/whatbreed}
export WHATBREED_RUN="$${RUN##*/}"

shutdown -h +$minutes "whatbreed: max_hours is over"
mkdir -p "$$WORK/source" "$$WORK/photos" "$$WORK/run"
cd "$$WORK"
exec > >(tee -a log.txt) 2>&1

s3_sync() {
    aws s3 sync --region "$$REGION" --only-show-errors "$$1" "$$2"
}
s3_copy() {
    aws s3 cp --region "$$REGION" --only-show-errors "$$1" "$$2"
}
reached() { # for `training compare`
    echo "$$1 $$(date +%s)" >> "$$WORK/times.txt"
}
cpu_times() { # total and idle, in ticks since boot
    awk '/^cpu /{for (i = 2; i <= 9; i++) total += $$i; print total, $$5 + $$6}' /proc/stat
}
print_metrics() { # of the minute since $$1 and $$2, the earlier output of cpu_times
    read -r total idle < <(cpu_times)
    awk -v total="$$((total - $$1))" -v idle="$$((idle - $$2))" '
        /^MemTotal:/{memory = $$2} /^MemAvailable:/{free = $$2}
        END{printf "metrics: cpu %.0f %%, memory %.0f %%\n", total ? 100 - 100 * idle / total : 0,
            100 - 100 * free / memory}' /proc/meminfo
    if command -v nvidia-smi >/dev/null; then
        nvidia-smi --query-gpu=utilization.gpu,memory.used --format=csv,noheader |
            sed 's/^/metrics: gpu, gpu memory: /'
    fi
}
finish() {
    code=$$?
    set +e
    test -n "$${SYNC:-}" && kill "$$SYNC" 2>/dev/null
    s3_sync "$$WORK/run" "$$RUN/run"
    test -f "$$WORK/times.txt" && s3_copy "$$WORK/times.txt" "$$RUN/times.txt"
    echo "whatbreed: exit code $$code"
    sleep 1 # for tee
    s3_copy "$$WORK/log.txt" "$$RUN/log.txt"
    shutdown -h now
    exit "$$code"
}
trap finish EXIT

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

reached installed

# -- Download the photos, and the checkpoints of an earlier instance of this run.
s3_sync "$$DATA" photos
s3_sync "$$RUN/run" run
reached downloaded

# -- Upload checkpoints and the log every minute while training, so that another instance can resume.
(
    trap 'kill "$$NAP"; exit' TERM
    while true; do
        read -r total idle < <(cpu_times)
        sleep 60 &
        NAP=$$!
        wait "$$NAP"
        print_metrics "$$total" "$$idle" || true
        s3_copy "$$WORK/log.txt" "$$RUN/log.txt" || true
        s3_sync "$$WORK/run" "$$RUN/run" || true
    done
) &
SYNC=$$!

# -- Train, and upload the model as `ops endpoint deploy` takes it.
cd source
../venv/bin/python -m training train --data ../photos --output ../run $options
reached trained
../venv/bin/python -m training export --run ../run --data ../photos --output ../model
tar -czf ../model.tar.gz -C ../model .
s3_copy ../model.tar.gz "$$RUN/model.tar.gz"
reached exported
