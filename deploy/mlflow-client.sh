# shellcheck shell=bash
# To be sourced on the head, `. mlflow-client.sh DIR`: what a process needs to write to the server over DIR.
export MLFLOW_TRACKING_URI=http://127.0.0.1:${OTTT_MLFLOW_PORT:-5000}
export MLFLOW_TRACKING_USERNAME=admin
MLFLOW_TRACKING_PASSWORD=$(cat "$1/password")
export MLFLOW_TRACKING_PASSWORD
