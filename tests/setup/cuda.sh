#!/usr/bin/env bash
# What building for CUDA devices needs: CUDA's compiler, headers and libraries from PyPI (about 1.2 GB), under .tools/cuda,
# laid out as build scripts expect them. No device and no driver are needed: the driver's library is stood in for by an
# empty one that only the linker sees. Done already: returns at once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

# Drivers from 580 on run what this compiler makes; a newer compiler would ask for a newer driver.
packages=('cuda-toolkit[nvcc,cudart,cccl,curand,nvrtc]==13.0.*' 'nvidia-cublas==13.1.*')
venv=$PWD/.tools/cuda
stamp=$venv/.ready
wanted="$venv ${packages[*]} $(sha256sum <tests/setup/cuda.sh) $(grep -A 1 '^name = "cudarc"' Cargo.lock | tail -1)"
[[ -f $stamp && $(<"$stamp") == "$wanted" ]] && exit 0

printf 'installing %s from PyPI into .tools/cuda (about 1.2 GB)\n' "${packages[*]}"
rm -rf "$venv"
python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input "${packages[@]}"
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
ln -sfn "$site/nvidia/cu13" "$venv/home"

home=$venv/home
ln -sfn lib "$home/lib64"
# The packages have libraries by their versions alone, linkers look for them without.
for library in "$home"/lib/lib*.so.*; do
    name=${library##*/}
    ln -sfn "$name" "$home/lib/${name%%.so.*}.so"
done

# The driver's library comes with the driver. A linker only wants to know its names: those that the bindings call.
cargo fetch --quiet --locked
bindings=$(cargo metadata --format-version 1 --locked --filter-platform "$(rustc -vV | sed -n 's/^host: //p')" --features cuda |
    python3 -c 'import json, sys; print(next(p["manifest_path"] for p in json.load(sys.stdin)["packages"] if p["name"] == "cudarc"))')
mkdir -p "$home/lib/stubs"
grep -rhoE 'fn cu[A-Z][A-Za-z0-9_]*' "$(dirname "$bindings")/src/driver/sys" | sed 's/^fn //' | sort -u |
    sed 's/.*/void &(void) {}/' >"$venv/driver.c"
cc -shared -fPIC -Wl,-soname,libcuda.so.1 -o "$home/lib/stubs/libcuda.so" "$venv/driver.c"
"$home/bin/nvcc" --version | tail -1
printf '%s\n' "$wanted" >"$stamp"
