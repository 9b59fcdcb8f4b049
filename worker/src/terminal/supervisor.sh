# shellcheck shell=sh
# Ends the processes of terminals. Each line of its input is a command: +PID registers a session, -PID ends it, and ?WORD
# ends the sessions whose first process has WORD in its environment. When the input ends, because the worker closed it or
# was killed, all registered sessions are ended. Uses only the shell's own commands and sleep, which every image has.
known=" "
signal() {
  for file in /proc/[0-9]*/stat; do
    line=
    { IFS= read -r line <"$file"; } 2>/dev/null
    [ -n "$line" ] || continue
    pid=${line%% *}
    line=${line##*") "}
    # state, parent, group, session
    # shellcheck disable=SC2086 # splits on purpose
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
