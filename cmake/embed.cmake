# SPDX-License-Identifier: Apache-2.0
# cmake -DFOLDER=... -DEVENTS=... -DOUT=... -P embed.cmake: the files of FOLDER as the table
# admin_assets; and "/events.txt", what the events of EVENTS (base/events.def) mean: records that end
# with U+001E, of number, text, meaning, what to do, divided by U+001F.

set(TYPE_html "text/html; charset=utf-8")
set(TYPE_css "text/css; charset=utf-8")
set(TYPE_js "text/javascript; charset=utf-8")
set(TYPE_svg "image/svg+xml")

file(GLOB files "${FOLDER}/*")
set(arrays "")
set(table "")
set(n 0)
foreach(file IN LISTS files)
    get_filename_component(name "${file}" NAME)
    get_filename_component(extension "${file}" LAST_EXT)
    string(SUBSTRING "${extension}" 1 -1 extension)
    if(NOT DEFINED TYPE_${extension})
        message(FATAL_ERROR "${file}: no type is known for it")
    endif()
    set(path "/${name}")
    if(name STREQUAL "index.html")
        set(path "/")
    endif()
    file(READ "${file}" bytes HEX)
    file(SHA256 "${file}" hash)
    string(SUBSTRING "${hash}" 0 32 hash)
    string(REGEX REPLACE "(..)" "0x\\1," bytes "${bytes}")
    string(REGEX REPLACE "(................................................................................)" "\\1\n" bytes "${bytes}")
    string(APPEND arrays "static const unsigned char file_${n}[] = {\n${bytes}};\n\n")
    string(APPEND table "    {\"${path}\", \"${TYPE_${extension}}\", \"\\\"${hash}\\\"\", file_${n}, sizeof(file_${n})},\n")
    math(EXPR n "${n} + 1")
endforeach()
file(SHA256 "${EVENTS}" hash)
string(SUBSTRING "${hash}" 0 32 hash)
file(WRITE "${OUT}" "/* Made from src/admin/web/ by cmake/embed.cmake. */
#include \"admin/assets.h\"

${arrays}static const char events[] =
#define EVENT(id, number, level, module, name, limit, text, fields, means, to_do) #number \"\\x1f\" text \"\\x1f\" means \"\\x1f\" to_do \"\\x1e\"
#include \"base/events.def\"
    ;

const struct admin_asset admin_assets[] = {
${table}    {\"/events.txt\", \"text/plain; charset=utf-8\", \"\\\"${hash}\\\"\", (const unsigned char *)events, sizeof(events) - 1},
    {NULL, NULL, NULL, NULL, 0},
};
")
