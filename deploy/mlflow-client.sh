# shellcheck shell=bash
# Source this on the head, `. mlflow-client.sh DIR`, to set the variables for writing to the server of DIR.
export MLFLOW_TRACKING_URI=http://127.0.0.1:${OTTT_MLFLOW_PORT:-5000}
export MLFLOW_TRACKING_USERNAME=admin
MLFLOW_TRACKING_PASSWORD=$(cat "$1/password")
export MLFLOW_TRACKING_PASSWORD
