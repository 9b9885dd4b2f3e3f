# A virtual environment for the training. $1 folder, $2 the Python that makes it, $3 `system` to see the site's packages or `own`,
# $4 a requirements file or empty, $5… packages. What is as wanted already is left alone (.holdfast-stamp).
venv=$1
interpreter=$2
site=$3
requirements=$4
shift 4

say() { printf '%s\n' "$1" >>"$HF_RESULT"; }
stop() {
  say "error=$1"
  exit 1
}

version="$("$interpreter" -V 2>&1)" || stop "$interpreter does not run on the login node ($version). Check python.interpreter and setup."
[ -z "$requirements" ] || [ -f "$requirements" ] || stop "$requirements does not exist. Check python.requirements."
see_site=
[ "$site" = system ] && see_site=--system-site-packages
wanted="$({ echo "$version $site"; [ -z "$requirements" ] || cat "$requirements"; printf '%s\n' "$@"; } | cksum)"
if [ "$(cat "$venv/.holdfast-stamp" 2>/dev/null)" = "$wanted" ] && "$venv/bin/python" -c '' 2>/dev/null; then
  say action=unchanged
else
  [ -e "$venv" ] && [ ! -f "$venv/pyvenv.cfg" ] && stop "$venv exists and is no virtual environment. Choose another folder, or remove it."
  [ -e "$venv" ] && say action=updated || say action=created
  if ! "$venv/bin/python" -c '' 2>/dev/null; then
    # shellcheck disable=SC2086 (no word when the site's packages are not wanted)
    "$interpreter" -m venv --clear $see_site "$venv" || stop "$interpreter -m venv $venv failed. The log says why."
  fi
  if [ -n "$requirements" ]; then
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input -r "$requirements" || stop "pip install -r $requirements failed. The log says why."
  fi
  if [ $# -gt 0 ]; then
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-input -- "$@" || stop "pip install $* failed. The log says why."
  fi
  printf '%s\n' "$wanted" >"$venv/.holdfast-stamp.tmp" && mv "$venv/.holdfast-stamp.tmp" "$venv/.holdfast-stamp" || stop "$venv cannot be written. Check space and quota."
fi
say "python=$("$venv/bin/python" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3])')"
"$venv/bin/python" - >>"$HF_RESULT" 2>/dev/null <<'PYTHON'
from importlib.metadata import PackageNotFoundError, version

for name in ("torch", "numpy", "scikit-learn", "globus-compute-endpoint"):
    try:
        print("package=%s==%s" % (name, version(name)))
    except PackageNotFoundError:
        pass
PYTHON
exit 0
