/* A summary: see summary.h. */
#include "summary.h"

#include <string.h>

/* Definitions stand in blocks of statements only, so expressions, which are most of a tree, are not looked into. Each
 * thread gets a function and a class of its own: on free-threaded builds shared ones have their reference counts fought
 * over. */
static const char helper[] =
    "import ast, gc, warnings\n"
    "warnings.simplefilter('ignore')  # what the parser has to say about other people's files\n"
    "gc.disable()  # a tree has no cycles, and to look for some would stop every thread\n"
    "\n"
    "def maker(released):\n"
    "    class Summary:\n"
    "        __slots__ = 'tree', 'functions', 'classes'\n"
    "        def __del__(self):\n"
    "            released.append(None)\n"
    "\n"
    "    function = ast.FunctionDef, ast.AsyncFunctionDef\n"
    "    inner_blocks = 'body', 'orelse', 'finalbody', 'handlers', 'cases'\n"
    "\n"
    "    def make(source, path):\n"
    "        tree = ast.parse(source, path)\n"
    "        functions = classes = 0\n"
    "        blocks = [tree.body]\n"
    "        for block in blocks:  # it grows meanwhile\n"
    "            for node in block:\n"
    "                if isinstance(node, function):\n"
    "                    functions += 1\n"
    "                elif isinstance(node, ast.ClassDef):\n"
    "                    classes += 1\n"
    "                for name in inner_blocks:\n"
    "                    inner = getattr(node, name, None)\n"
    "                    if inner:\n"
    "                        blocks.append(inner)\n"
    "        summary = Summary()\n"
    "        summary.tree, summary.functions, summary.classes = tree, functions, classes\n"
    "        return summary\n"
    "\n"
    "    return make\n"
    "\n"
    "def collect(released):\n"
    "    gc.collect()\n"
    "    return len(released)\n";

static struct _object *maker, *collect;

pyattach_status summary_prepare(void) {
    struct _object *globals;
    pyattach_status status = pyattach_eval("{}", NULL, NULL, &globals);
    if (status == PYATTACH_OK)
        status = pyattach_run(helper, globals, NULL);
    if (status == PYATTACH_OK)
        status = pyattach_eval("maker", globals, NULL, &maker);
    if (status == PYATTACH_OK)
        status = pyattach_eval("collect", globals, NULL, &collect);
    pyattach_decref(globals);
    return status;
}

void summary_forget(void) {
    pyattach_decref(maker);
    pyattach_decref(collect);
    maker = collect = NULL;
}

pyattach_status summary_maker(struct _object *released, struct _object **make) {
    return pyattach_call(maker, &released, 1, make);
}

static pyattach_status get_number(struct _object *object, const char *name, int64_t *number) {
    struct _object *attribute;
    pyattach_status status = pyattach_get_attribute(object, name, &attribute);
    if (status != PYATTACH_OK)
        return status;
    status = pyattach_to_int64(attribute, number);
    pyattach_decref(attribute);
    return status;
}

pyattach_status summary_make(struct _object *make, const char *path, const source *text, struct _object **summary,
                             int64_t *functions, int64_t *classes) {
    struct _object *arguments[2] = {NULL, NULL};
    /* A path is bytes: it need not be UTF-8, and Python takes it like this too. */
    pyattach_status status = pyattach_from_bytes(path, strlen(path), &arguments[1]);
    *summary = NULL;
    if (status == PYATTACH_OK)
        status = pyattach_from_bytes(text->bytes, text->size, &arguments[0]);
    if (status == PYATTACH_OK)
        status = pyattach_call(make, arguments, 2, summary);
    pyattach_decref(arguments[0]);
    pyattach_decref(arguments[1]);
    if (status == PYATTACH_OK)
        status = get_number(*summary, "functions", functions);
    if (status == PYATTACH_OK)
        status = get_number(*summary, "classes", classes);
    if (status != PYATTACH_OK) {
        pyattach_decref(*summary);
        *summary = NULL;
    }
    return status;
}

pyattach_status summary_released(struct _object *released, int64_t *number) {
    struct _object *length;
    pyattach_status status = pyattach_pool_drain();
    if (status == PYATTACH_OK)
        status = pyattach_call(collect, &released, 1, &length);
    if (status != PYATTACH_OK)
        return status;
    status = pyattach_to_int64(length, number);
    pyattach_decref(length);
    return status;
}
