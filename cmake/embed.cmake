# SPDX-License-Identifier: Apache-2.0
# cmake -DFOLDER=... -DOUT=... -P embed.cmake: the files of FOLDER as the table admin_assets.

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
file(WRITE "${OUT}" "/* Made from src/admin/web/ by cmake/embed.cmake. */
#include \"admin/assets.h\"

${arrays}const struct admin_asset admin_assets[] = {
${table}    {NULL, NULL, NULL, NULL, 0},
};
")
