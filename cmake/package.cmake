# SPDX-License-Identifier: Apache-2.0
# What is installed, and the Debian package that `cpack` makes of it (script/package).

include(GNUInstallDirs)
set(HF_DOC share/doc/holdfast)

install(FILES package/holdfast.conf DESTINATION /etc/holdfast
    PERMISSIONS OWNER_READ OWNER_WRITE GROUP_READ COMPONENT holdfast)
install(FILES package/holdfast.service DESTINATION /lib/systemd/system COMPONENT holdfast)
install(FILES package/copyright DESTINATION ${HF_DOC} COMPONENT holdfast)
install(FILES docs/deployment.md docs/recovery.md docs/options.md docs/events.md docs/metrics.md
    docs/operations.md docs/commands.md docs/api.md docs/tracing.md docs/dashboard.md docs/migration-genesys.md
    docs/kamailio.md docs/performance.md docs/threat-model.md docs/openapi.json
    DESTINATION ${HF_DOC} COMPONENT holdfast)
install(FILES package/60-holdfast.conf package/grafana-dashboard.json package/prometheus-rules.yml
    package/prometheus-scrape.yml DESTINATION ${HF_DOC}/examples COMPONENT holdfast)

# Debian wants manual pages and the changelog compressed, without the time of the build in it.
function(hf_install_compressed file name destination)
    set(packed "${CMAKE_CURRENT_BINARY_DIR}/packed/${name}.gz")
    add_custom_command(OUTPUT "${packed}" DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${file}"
        COMMAND ${CMAKE_COMMAND} -E make_directory "${CMAKE_CURRENT_BINARY_DIR}/packed"
        COMMAND sh -c "gzip -9nc '${CMAKE_CURRENT_SOURCE_DIR}/${file}' > '${packed}'" VERBATIM)
    set_property(GLOBAL APPEND PROPERTY HF_PACKED "${packed}")
    install(FILES "${packed}" DESTINATION ${destination} COMPONENT holdfast)
endfunction()
hf_install_compressed(docs/man/holdfast.8 holdfast.8 share/man/man8)
hf_install_compressed(docs/man/holdfastctl.1 holdfastctl.1 share/man/man1)
hf_install_compressed(docs/man/holdfast.conf.5 holdfast.conf.5 share/man/man5)
hf_install_compressed(package/changelog.Debian changelog.Debian ${HF_DOC})
get_property(packed GLOBAL PROPERTY HF_PACKED)
add_custom_target(packed ALL DEPENDS ${packed})

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME holdfast)
set(CPACK_PACKAGE_VERSION "${PROJECT_VERSION}")
set(CPACK_PACKAGE_CONTACT "The Holdfast authors <holdfast@localhost>")
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "SIP proxy that loses no call to a dead connection")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"Holdfast stands in front of SIP servers, PBXs and contact-centre platforms, or
works alone with its own registrar. It notices connections that a firewall has
forgotten, opens them again, sends the lost request again, and where a phone is
gone for good ends the call on every side.
.
It speaks SIP over UDP, TCP and TLS on IPv4 and IPv6, fails over within pairs
and groups of servers, and comes with a control tool, a dashboard, metrics for
Prometheus and traces for Wireshark, sngrep and HEP.")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_COMPONENTS_ALL holdfast)
set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
if(NOT HOLDFAST_DEB_REVISION)
    set(HOLDFAST_DEB_REVISION 1)
endif()
set(CPACK_DEBIAN_PACKAGE_RELEASE "${HOLDFAST_DEB_REVISION}")
set(CPACK_DEBIAN_PACKAGE_SECTION comm)
set(CPACK_DEBIAN_PACKAGE_PRIORITY optional)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "adduser, init-system-helpers (>= 1.51)")
set(CPACK_DEBIAN_PACKAGE_SUGGESTS "prometheus, grafana, sngrep")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA
    "${CMAKE_CURRENT_SOURCE_DIR}/package/postinst"
    "${CMAKE_CURRENT_SOURCE_DIR}/package/prerm"
    "${CMAKE_CURRENT_SOURCE_DIR}/package/postrm"
    "${CMAKE_CURRENT_SOURCE_DIR}/package/conffiles")
include(CPack)
