/** What rexen teaches the gdb that it starts, in Python: places in time as commands of gdb's own kind. */
export const GDB_SCRIPT = `
import gdb

def monitor(text, show=True):
    out = gdb.execute("monitor " + text, to_string=True)
    if show:
        gdb.write(out)
    return out

def seek(place):
    out = monitor("seek -q " + place, False)
    gdb.execute("maintenance flush register-cache", to_string=True)
    gdb.execute("maintenance flush dcache", to_string=True)
    gdb.write(out)
    if out.startswith("now at"):
        gdb.execute("frame")

class Place(gdb.Command):
    """Go to another place in the recording: seek MARK.
A mark is a tick (123_456), a time (1.5s, 20ms), an event (#45), a distance from the end (end-1000) or from here
(+1000, -1000), words on a console (console:"login: "), or a name given by the command mark."""
    def __init__(self):
        super().__init__("seek", gdb.COMMAND_RUNNING)
    def invoke(self, arg, from_tty):
        seek(arg)

class Checkpoint(gdb.Command):
    """Remember this place in time, to come back to with restart N. Or give it a name: checkpoint NAME, seek NAME."""
    count = 0
    def __init__(self):
        super().__init__("checkpoint", gdb.COMMAND_RUNNING)
    def invoke(self, arg, from_tty):
        Checkpoint.count += 1
        name = arg.strip() or "checkpoint-%d" % Checkpoint.count
        gdb.write("Checkpoint %d: %s" % (Checkpoint.count, monitor("mark " + name, False)))

class Restart(gdb.Command):
    """Go back to a checkpoint: restart N."""
    def __init__(self):
        super().__init__("restart", gdb.COMMAND_RUNNING)
    def invoke(self, arg, from_tty):
        seek("checkpoint-" + arg.strip())

class Checkpoints(gdb.Command):
    """Places remembered by checkpoint and mark."""
    def __init__(self):
        super().__init__("info checkpoints", gdb.COMMAND_STATUS)
    def invoke(self, arg, from_tty):
        monitor("marks")

class Forward(gdb.Command):
    """A command of rexen: the same as monitor of that name. monitor help lists them all."""
    def __init__(self, name):
        super().__init__(name, gdb.COMMAND_DATA)
        self.name = name
    def invoke(self, arg, from_tty):
        monitor(self.name + " " + arg)

def rexen_joined():
    # gdb asks for the registers of the first process only.
    here = gdb.selected_inferior()
    for each in gdb.inferiors():
        if each is not here and each.pid:
            gdb.execute("inferior %d" % each.num, to_string=True)
            gdb.execute("unset tdesc filename", to_string=True)
    gdb.execute("inferior %d" % here.num, to_string=True)

Place()
Checkpoint()
Restart()
Checkpoints()
for name in ("when", "mark", "marks", "unmark", "events", "who-wrote", "domains", "xenstore"):
    Forward(name)
`;
