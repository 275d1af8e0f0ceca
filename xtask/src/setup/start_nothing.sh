# Runs its arguments, an installation, while Debian's maintainer scripts are told to start nothing: they
# ask policy-rc.d, and its exit code 101 says no. A machine's own policy is left alone.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 1' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' > "$policy" && chmod 755 "$policy" || exit
fi
"$@"
