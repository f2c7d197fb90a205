#!/usr/bin/env bash
# Runs the MLflow server on a cluster's head: password-protected, restarted whenever it exits or stops answering.
#
#   mlflow-server.sh start DIR    keep a server for DIR running in the background; does nothing if one is running
#   mlflow-server.sh stop DIR     stop it
#
# DIR must be on a disk that outlives the cluster. DIR/password holds the password of the user admin, generated once.
# OTTT_MLFLOW_PORT (default: 5000) is the port on 127.0.0.1; forward it with `ssh -L` or `ray attach -p 5000`.
set -euo pipefail

port=${OTTT_MLFLOW_PORT:-5000}
pause=${OTTT_MLFLOW_PAUSE:-5}  # seconds between health checks
failures=3                     # failed health checks before a restart

answers() { curl --silent --fail --max-time 5 --output /dev/null "http://127.0.0.1:$port/health"; }

serve() {
    MLFLOW_AUTH_ADMIN_PASSWORD=$(<password)
    export MLFLOW_AUTH_ADMIN_PASSWORD
    # In its own process group: its workers outlive it when it is killed, and would keep the port.
    env --unset MLFLOW_TRACKING_URI setsid ottt mlflow serve --results "$PWD" --port "$port" --auth >> server.log 2>&1 9>&- &
    server=$!
}

end_server() {
    kill -TERM -- "-$server" 2> /dev/null || true
    for _ in {1..50}; do
        kill -0 -- "-$server" 2> /dev/null || return 0
        sleep 0.1
    done
    kill -KILL -- "-$server" 2> /dev/null || true
}

watch() {
    trap 'end_server; exit 0' TERM INT
    serve
    local missed=0 answered=no
    while true; do
        sleep "$pause" &
        wait $! || true
        if ! kill -0 "$server" 2> /dev/null; then
            echo "$(date --utc +%FT%TZ) the server ended, starting it again" >> watch.log
            end_server
            serve
            missed=0 answered=no
        elif answers; then
            missed=0 answered=yes
        elif [[ $answered == yes ]] && ((++missed >= failures)); then
            echo "$(date --utc +%FT%TZ) the server does not answer, starting it again" >> watch.log
            end_server
        fi
    done
}

start() {
    umask 077
    [[ -s password ]] || head -c 24 /dev/urandom | base64 | tr '+/' '-_' > password
    exec 9> watch.lock
    if flock --nonblock 9; then
        setsid "$self" watch "$PWD" < /dev/null > /dev/null 2>> watch.log &
        echo $! > watch.pid
    fi
    exec 9>&-
    for _ in {1..240}; do
        answers && return 0
        sleep 0.5
    done
    echo "mlflow-server.sh: no answer at 127.0.0.1:$port, see $PWD/server.log" >&2
    return 1
}

case ${1:-} in start | stop | watch) [[ -n ${2:-} ]] ;; *) false ;; esac || {
    echo "usage: mlflow-server.sh start|stop DIR" >&2
    exit 2
}
self=$(realpath "$0")
mkdir -p "$2"
cd "$2"
case $1 in
    start) start ;;
    watch) watch ;;
    stop) [[ ! -f watch.pid ]] || kill -TERM "$(<watch.pid)" 2> /dev/null || true ;;
esac
