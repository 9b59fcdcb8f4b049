# shellcheck shell=sh
# Ends what terminals leave. On its input a line +PID makes a session known, -PID ends it, and ?WORD ends the sessions whose
# first process has this in its environment. The end of the input, which comes with the end of whoever holds it, ends all
# that are known. Words of the shell itself only, but for sleep.
known=" "
signal() {
  for file in /proc/[0-9]*/stat; do
    line=
    { IFS= read -r line <"$file"; } 2>/dev/null
    [ -n "$line" ] || continue
    pid=${line%% *}
    line=${line##*") "}
    # state, parent, group, session
    # shellcheck disable=SC2086 # it is these words
    set -- "$1" "$2" $line
    [ "$6" = "$2" ] && kill -"$1" "$pid" 2>/dev/null
  done
}
end() {
  signal HUP "$1"
  signal CONT "$1"
  sleep 1
  signal KILL "$1"
}
with() {
  for file in /proc/[0-9]*/environ; do
    pid=${file%/environ}
    pid=${pid#/proc/}
    {
      while IFS= read -r line || [ -n "$line" ]; do
        case $line in *"$1"*) end "$pid" & break ;; esac
      done <"$file"
    } 2>/dev/null
  done
}
while IFS= read -r line; do
  case $line in
    +*) known="$known${line#+} " ;;
    \?*) with "${line#?}" ;;
    -*)
      pid=${line#-}
      case $known in *" $pid "*) known="${known%% "$pid" *} ${known#* "$pid" }" ;; esac
      end "$pid" &
      ;;
  esac
done
for pid in $known; do end "$pid" & done
wait
