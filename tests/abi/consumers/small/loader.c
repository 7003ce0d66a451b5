/* The program that loads the plugins, linked to nothing. */
#include <dlfcn.h>
#include <stdio.h>

int main(int argc, char **argv) {
    int (*run)(const char *);
    void *plugin = argc > 2 ? dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    if (plugin == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    *(void **)&run = dlsym(plugin, "plugin_run");
    printf("%d\n", run(argv[2]));
    /* What Python and the system remember of the library must outlive the plugin. */
    return dlclose(plugin);
}
