#!/bin/sh
# Makes an archive of one object, which exports only what is not hidden.
#
#     archive.sh LD OBJCOPY AR INPUT OUTPUT
set -eu
ld=$1 objcopy=$2 ar=$3 input=$4 output=$5
"$ld" -r -o "$output.o" --whole-archive "$input"
"$objcopy" --localize-hidden "$output.o"
rm -f "$output"
"$ar" rcs "$output" "$output.o"
rm -f "$output.o"
