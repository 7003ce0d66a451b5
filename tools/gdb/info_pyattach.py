"""The gdb command `info pyattach`: who is attached to Python, and who waits for it, in a process or in a core file.

gdb loads this file with libpyattach.so, where it is installed; elsewhere `source info_pyattach.py` does. It reads the
library's own lists by its debug information, calls no function, and takes no lock. The rules by which it decides what a
thread does are those of src/core/thread_list.hpp.
"""

import gdb

LISTS = "pyattach::(anonymous namespace)::threads"
BASE, ATTACHED, DETACHED = 0x0A77AC00, 0x0A77AC01, 0x0A77AC02  # of frames, as src/core/frame.hpp numbers them
ORDER = ("attached", "waiting", "detached", "idle")


class Unreadable(Exception):
    """The library cannot be read here."""


def word(value, kind="unsigned long"):
    """What a word of the library holds, also an atomic one, whatever the C++ library makes of atomics."""
    return int(value.address.cast(gdb.lookup_type(kind).pointer()).dereference())


def at(address, kind):
    return gdb.Value(address).cast(gdb.lookup_type(kind).pointer()).dereference()


def load_word(address):
    return int(gdb.Value(address).cast(gdb.lookup_type("unsigned long").pointer()).dereference())


def global_value(name):
    symbol = gdb.lookup_global_symbol(name) or gdb.lookup_static_symbol(name)
    if symbol is None:
        raise Unreadable("libpyattach is not loaded, or its debug information is not installed")
    return symbol.value()


def list_of_records():
    for symbol in gdb.lookup_static_symbols(LISTS):
        if "pyattach::thread," in str(symbol.type.strip_typedefs()):
            return symbol.value()
    raise Unreadable("libpyattach is not loaded, or its debug information is not installed")


def members_of(record):
    """The thread's participants."""
    member = word(record["participants"])
    while member:
        found = at(member, "pyattach::participant")
        yield found
        member = word(found["next_of_thread"])


class Reader:
    def __init__(self):
        self.first = word(list_of_records()["first_"])
        self.unknown = int(global_value("pyattach::cpython::unknown").address)
        # Up to 3.11 one word holds the tstate of the thread that has the GIL.
        self.shared = word(global_value("pyattach::cpython::trusted")["shared"])
        self.main = word(global_value("pyattach::main_record"))
        self.presences = {field.name.rsplit("::", 1)[-1]: int(field.enumval)
                          for field in gdb.lookup_type("pyattach::presence").fields()}
        self.cleared = next(int(field.enumval) for field in gdb.lookup_type("pyattach::gate::state").fields()
                            if field.name.endswith("::cleared"))
        self.threads = {thread.ptid[1]: thread for thread in gdb.selected_inferior().threads()}

    def records(self):
        address = self.first
        while address:
            record = at(address, "pyattach::thread")
            if word(record["words"]):  # else no thread uses it
                yield record
            address = word(record["next"])

    def is_cleared(self, interp):
        return word(at(interp, "pyattach::interpreter")["gate"]["word_"], "unsigned int") == self.cleared

    def announced(self, record, presence):
        for member in members_of(record):
            if (word(member["presence_now"], "unsigned char") == self.presences[presence] and
                    not self.is_cleared(word(member["interp"]))):
                yield member

    def top_of(self, record):
        """The tag of the top frame, whether it is inert, and its participant; None where it cannot be read."""
        top = word(record["top"])
        if top == int(record["base"].address):
            return BASE, False, 0
        try:
            frame = at(top, "pyattach::frame")
            frame.fetch_lazy()
            tag = int(frame["tag"])
        except gdb.MemoryError:
            return None
        return (tag, bool(frame["inert"]), word(frame["participant"])) if tag in (ATTACHED, DETACHED) else None

    def state_of(self, record):
        """The state, the participant concerned or None, and whether other code has detached the thread."""
        current_at = word(record["current_at"])
        is_known = current_at != self.unknown
        current = load_word(current_at) if is_known else 0
        attached = list(self.announced(record, "attached"))
        for member in attached:
            if current and current in (word(member["warm_tstate"]), word(member["last_tstate"])):
                return "attached", member, False
        if current and not self.shared:
            return "attached", None, False
        first = next(iter(members_of(record)), None)
        inside = attached[0] if attached else None
        top = self.top_of(record)
        if top is None:
            return "detached", inside or next(self.announced(record, "detached"), None), inside is not None
        tag, is_inert, participant = top
        if is_inert or any(int(member.address) == participant and self.is_cleared(word(member["interp"]))
                           for member in members_of(record)):
            return "idle", first, False
        if tag == DETACHED:
            return ("waiting", inside, False) if inside is not None else \
                ("detached", next(self.announced(record, "detached"), None), False)
        if tag == BASE and inside is not None:
            return "waiting", inside, False
        if tag == ATTACHED and is_known:
            return "detached", inside, True
        if tag == ATTACHED or (int(record["nested_open"]) and (self.shared or not is_known)):
            return "attached", inside, False
        if int(record["nested_open"]):
            return "detached", None, True
        return "idle", first, False

    def line(self, record, state, member, by_other_code):
        number = int(record["native_id"])
        thread = self.threads.get(number)
        names = [f'"{thread.name}"'] if thread is not None and thread.name else []
        names += [f"thread {thread.num} of gdb"] if thread is not None else []
        text = f"  thread {number}" + (f" ({', '.join(names)})" if names else "") + f": {state}"
        text += " by other code inside its scope" if by_other_code else ""
        interp = word(member["interp"]) if member is not None else word(record["last_interp"])
        if interp:
            text += ", main interpreter" if interp == self.main else f", interpreter {interp:#x}"
        if member is not None and word(member["label"]):
            try:
                text += ', "%s"' % member["label"].string(errors="replace", length=-1)
            except gdb.MemoryError:
                text += ", with a label that cannot be read"
        return text

    def lines(self):
        found = [(record, *self.state_of(record)) for record in self.records()]
        counts = ", ".join(f"{sum(entry[1] == state for entry in found)} {state}" for state in ORDER)
        yield f"pyattach: {len(found)} thread{'' if len(found) == 1 else 's'}; {counts}"
        for state in ORDER:
            for entry in found:
                if entry[1] == state:
                    yield self.line(*entry)


class InfoPyattach(gdb.Command):
    """Show what each thread that libpyattach knows does with Python: attached, waiting, detached or idle."""

    def __init__(self):
        super().__init__("info pyattach", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        if argument:
            raise gdb.GdbError("info pyattach takes no argument")
        try:
            for line in Reader().lines():
                print(line)
        except (Unreadable, gdb.MemoryError) as problem:
            raise gdb.GdbError(f"info pyattach: {problem}") from None


InfoPyattach()
