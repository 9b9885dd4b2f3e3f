# The training's repository on the system: cloned once, then fetched and moved forward. $1 url, $2 branch, $3 folder.
# Nothing of the user's is ever thrown away: local changes and a diverged branch are errors.
url=$1
branch=$2
path=$3
GIT_TERMINAL_PROMPT=0
GIT_SSH_COMMAND="${GIT_SSH_COMMAND:-ssh -o BatchMode=yes}"
export GIT_TERMINAL_PROMPT GIT_SSH_COMMAND

say() { printf '%s\n' "$1" >>"$HF_RESULT"; }
stop() {
  say "error=$1"
  exit 1
}

command -v git >/dev/null 2>&1 || stop "git is not in the PATH of the login node. Load its module in setup."
if [ -d "$path/.git" ]; then
  have="$(git -C "$path" config --get remote.origin.url)"
  [ "$have" = "$url" ] || stop "$path is a clone of $have, not of $url. Choose another path, or remove that folder."
  [ -z "$(git -C "$path" status --porcelain --untracked-files=no)" ] || stop "$path has changes that are not committed. Commit or undo them there."
  before="$(git -C "$path" rev-parse HEAD)"
  git -C "$path" fetch --quiet --prune origin || stop "git fetch failed in $path. The log says why."
  git -C "$path" rev-parse -q --verify "refs/remotes/origin/$branch" >/dev/null || stop "$url has no branch $branch. Check repository.branch."
  if git -C "$path" show-ref --verify -q "refs/heads/$branch"; then
    git -C "$path" checkout --quiet "$branch" -- || stop "git checkout $branch failed in $path. The log says why."
  else
    git -C "$path" checkout --quiet -b "$branch" --track "origin/$branch" || stop "git checkout $branch failed in $path. The log says why."
  fi
  git -C "$path" merge --quiet --ff-only "origin/$branch" || stop "branch $branch in $path has commits that $url has not. Push or drop them there."
  [ "$before" = "$(git -C "$path" rev-parse HEAD)" ] && say action=unchanged || say action=updated
elif [ -e "$path" ] && [ -n "$(ls -A "$path" 2>&1)" ]; then
  stop "$path exists and is no git repository. Choose another path, or remove it."
else
  mkdir -p "$(dirname "$path")" || stop "$(dirname "$path") cannot be made. Check base and your rights."
  # A clone that was interrupted lies under this name only.
  rm -rf "$path.holdfast-clone"
  git clone --quiet --branch "$branch" -- "$url" "$path.holdfast-clone" || stop "git clone of $url (branch $branch) failed. The log says why."
  [ -d "$path" ] && rmdir "$path"
  mv "$path.holdfast-clone" "$path" || stop "$path cannot be made. Check base and your rights."
  say action=cloned
fi
say "commit=$(git -C "$path" rev-parse HEAD)"
