#!/bin/sh
# The shared library exports what its public headers declare, no more and no less, and needs msgpack-c alone; so does the
# archive; and the test of NULL handles has a row for each function.
#
#     symbols.sh LIBRARY ARCHIVE INCLUDES NULL-TEST HEADER…     (CC is the preprocessor: macros declare functions, too)
set -eu
library=$1 archive=$2 includes=$3 null_test=$4
shift 4
echo 1..4

exported=$(nm -D --defined-only "$library" | awk '$2 == "T" { sub(/@.*/, "", $3); print $3 }' | sort)
declared=$(for header; do
    "${CC:-cc}" -E -P -I "$includes" -DMPOOL_PUBLIC=MPOOL_PUBLIC "$header"
done | tr '\n' ' ' | grep -oE 'MPOOL_PUBLIC [^;(]*\(' | grep -oE 'mpool_[a-z0-9_]+\(' | tr -d '(' | sort -u)
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

tested=$("$null_test" --names | sort)
if [ "$tested" = "$exported" ]; then
    echo "ok 3 - each_function_is_called_with_a_null_handle"
else
    echo "not ok 3 - each_function_is_called_with_a_null_handle"
    echo "$tested" >tested.$$
    echo "# only exported, or only tested: $(echo "$exported" | diff - tested.$$ | grep '[<>]' | tr '\n' ' ')"
    rm -f tested.$$
fi

archived=$(nm -g --defined-only "$archive" | awk 'NF == 3 { print $3 }' | grep -vE '^__(asan|odr_asan|ubsan|tsan)' | sort)
if [ "$archived" = "$exported" ]; then
    echo "ok 4 - the_archive_exports_what_the_library_does"
else
    echo "not ok 4 - the_archive_exports_what_the_library_does"
    echo "# the archive: $(echo $archived | cut -c1-2000)"
fi
