/* A program without Python, which loads a plugin. */
#include <dlfcn.h>
#include <stdio.h>

int main(int count, char **words) {
    void *plugin = count == 2 ? dlopen(words[1], RTLD_NOW | RTLD_LOCAL) : NULL;
    int (*start)(void) = plugin ? (int (*)(void))dlsym(plugin, "start") : NULL;
    if (!start) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    return start();
}
