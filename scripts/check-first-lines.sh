#!/usr/bin/env bash
# Fails on a source file that doesn't open with a line saying what it is for.
set -euo pipefail
cd "$(dirname "$0")/.."
bad=0
while IFS= read -r file; do
    case "$file" in
        *.rs) pattern='^//!' ;;
        *.sh) pattern='^#!' ;;
        *.toml | */Makefile | Makefile) pattern='^# ' ;;
        *.go) pattern='^// ' ;;
        *) continue ;;
    esac
    if ! head -n 1 "$file" | grep -q "$pattern"; then
        echo "$file: the first line should say what the file is for" >&2
        bad=1
    fi
    if [[ "$file" == *.sh ]] && ! sed -n 2p "$file" | grep -q '^# '; then
        echo "$file: the second line should say what the script is for" >&2
        bad=1
    fi
done < <(git ls-files --cached --others --exclude-standard)
exit $bad
