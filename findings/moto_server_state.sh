#!/usr/bin/env bash
# moto 5.2.5: a ThreadedMotoServer that was stopped leaves its buckets and objects in the process. The next server, on another port,
# serves them again; making the same bucket then fails in s3fs 2026.9.0 with FileExistsError.
# A server that is started for each test and stopped after it looks like a fresh one for each test, and is not: give each test a bucket
# of its own name, or reset the server before it is stopped.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --disable-pip-version-check -q "moto[server]==5.2.5" s3fs==2026.9.0
cat > "$folder/run.py" <<'PY'
import moto
import s3fs
from moto.server import ThreadedMotoServer

print("moto", moto.__version__, "s3fs", s3fs.__version__)
ports, seen = [], []
for number in range(2):
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    store = s3fs.S3FileSystem(key="x", secret="x", endpoint_url=f"http://{host}:{port}", skip_instance_cache=True)
    seen.append(store.ls(""))
    if number == 0:
        store.mkdir("pictures")
        store.pipe("pictures/a.txt", b"from the first server")
    else:
        print("the second server has", seen[1], store.cat("pictures/a.txt"))
        try:
            store.mkdir("pictures")
            raise AssertionError("the bucket could be made again")
        except FileExistsError:
            print("FileExistsError for a bucket that this server was never asked for")
    ports.append(port)
    server.stop()
assert seen == [[], ["pictures"]], seen
PY
"$folder/venv/bin/python" "$folder/run.py"
