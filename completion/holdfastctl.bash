# SPDX-License-Identifier: Apache-2.0
# Completion of holdfastctl for bash: the tool proposes, from its table of commands and, where the
# daemon answers, with DNs, Call-IDs and so on.

_holdfastctl()
{
    local line path="" word i
    local -a words=() typed=()
    # bash divides at ":" and "="; what is typed is taken as it stands.
    line=${COMP_LINE:0:COMP_POINT}
    read -ra typed <<<"$line"
    case $line in *[[:space:]]) typed+=("") ;; esac
    for ((i = 1; i < ${#typed[@]}; i++)); do
        word=${typed[i]}
        if ((i == ${#typed[@]} - 1)); then
            words+=("$word")
            break
        fi
        case $word in
        -s | --socket)
            path=${typed[i + 1]}
            if ((i + 1 == ${#typed[@]} - 1)); then
                mapfile -t COMPREPLY < <(compgen -f -- "$path")
                return
            fi
            i=$((i + 1))
            ;;
        --socket=*) path=${word#*=} ;;
        -p | --pcapng)
            if ((i + 1 == ${#typed[@]} - 1)); then
                mapfile -t COMPREPLY < <(compgen -f -- "${typed[i + 1]}")
                return
            fi
            i=$((i + 1))
            ;;
        -*) ;;
        *) words+=("$word") ;;
        esac
    done
    ((${#words[@]} > 0)) || words=("")
    mapfile -t COMPREPLY < <("${COMP_WORDS[0]}" --complete "$path" "${words[@]}" 2>/dev/null |
        cut -f 1)
    # Of a word with ":" or "=" bash replaces only what is behind the last of them.
    word=${words[-1]}
    if [[ $word == *[:=]* ]]; then
        local head=${word%"${word##*[:=]}"}
        for i in "${!COMPREPLY[@]}"; do
            COMPREPLY[i]=${COMPREPLY[i]#"$head"}
        done
    fi
}

complete -F _holdfastctl holdfastctl
