#include "options.hpp"

#include <cstdlib>

const char usage[] =
    "Usage: host [--python PATH] [--threads N[,N...]] [--plugin PATH] [--trace FILE] [DIRECTORY]\n"
    "\n"
    "Counts what the Python sources below DIRECTORY define: native threads of a plugin let Python parse them.\n"
    "\n"
    "  --python PATH     a Python executable, or its libpython (default: the python3 on PATH)\n"
    "  --threads N,N...  how many threads; one run for each number (default: 1,2)\n"
    "  --plugin PATH     the plugin (default: definitions.so beside this program, or in ../plugin)\n"
    "  --trace FILE      writes who was attached and who waited for whom: .html for a browser, .json or .perfetto\n"
    "                    for ui.perfetto.dev\n"
    "  DIRECTORY         default: the standard library of that Python\n";

namespace {

std::vector<unsigned> read_numbers(const std::string &text) {
    std::vector<unsigned> numbers;
    const char *rest = text.c_str();
    for (;;) {
        char *end;
        const unsigned long number = std::strtoul(rest, &end, 10);
        const bool is_a_number = *rest >= '0' && *rest <= '9' && number >= 1 && number <= 1000;
        if (!is_a_number || (*end != ',' && *end != '\0'))
            throw refusal("--threads takes numbers from 1 to 1000, as in --threads 1,2, and not \"" + text + "\"");
        numbers.push_back(static_cast<unsigned>(number));
        if (*end == '\0')
            return numbers;
        rest = end + 1;
    }
}

} // namespace

options read_options(int argc, char **argv) {
    options it;
    for (int i = 1; i < argc; i++) {
        const std::string word = argv[i];
        if (word == "--help" || word == "-h") {
            it.help = true;
        } else if (word == "--python" || word == "--threads" || word == "--plugin" || word == "--trace") {
            if (++i == argc)
                throw refusal(word + " needs a value after it; see --help");
            if (word == "--python")
                it.python = argv[i];
            else if (word == "--plugin")
                it.plugin = argv[i];
            else if (word == "--trace")
                it.trace = argv[i];
            else
                it.threads = read_numbers(argv[i]);
        } else if (word.size() > 1 && word[0] == '-') {
            throw refusal("there is no option " + word + "; see --help");
        } else if (word.empty() || !it.directory.empty()) {
            throw refusal("one directory, please; see --help");
        } else {
            it.directory = word;
        }
    }
    return it;
}
