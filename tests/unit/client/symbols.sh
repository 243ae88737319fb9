#!/bin/sh
# The shared library exports what its public headers declare, no more and no less, and needs msgpack-c alone.
set -eu
library=$1
shift
echo 1..2

exported=$(nm -D --defined-only "$library" | awk '$2 == "T" { sub(/@.*/, "", $3); print $3 }' | sort)
declared=$(cat "$@" | tr '\n' ' ' | grep -oE 'MPOOL_PUBLIC [^;(]*\(' | grep -oE 'mpool_[a-z0-9_]+\($|mpool_[a-z0-9_]+\(' |
    tr -d '(' | sort)
if [ "$exported" = "$declared" ]; then
    echo "ok 1 - the_library_exports_what_its_headers_declare"
else
    echo "not ok 1 - the_library_exports_what_its_headers_declare"
    echo "# exported: $(echo $exported)"
    echo "# declared: $(echo $declared)"
fi

# Sanitizers bring libraries of their own.
others=$(readelf -d "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
    grep -vE '^(libc\.|libm\.|ld-|libmsgpack|libasan|libubsan|libtsan|libgcc_s|libclang_rt|libdl|libpthread|librt)' || true)
if [ -z "$others" ]; then
    echo "ok 2 - the_library_needs_msgpack_alone"
else
    echo "not ok 2 - the_library_needs_msgpack_alone"
    echo "# it also needs: $others"
fi
