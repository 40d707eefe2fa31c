// What a static program needs that finds hosts by glibc: the sources of names that are linked into it, whatever nsswitch.conf
// names. (The action is the default; `.ci/release` looks for the text.) Others are libraries of the system, and one of another glibc ends the program.
#include <nss.h>

__attribute__((constructor)) static void tally_names(void) {
    __nss_configure_lookup("hosts", "files [!SUCCESS=continue] dns");
    __nss_configure_lookup("passwd", "files");
    __nss_configure_lookup("group", "files");
}
