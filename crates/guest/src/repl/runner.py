# Runs the cells of one container, one after the other, in one process. What cells set stays.
#
# It speaks with the guest over the socket it gets as stdin: a length (4 bytes, little endian) and JSON.
# User code shares this process: whatever it does to the runner hurts its own cells alone, and the
# guest trusts nothing that comes from here.


def main():
    import builtins
    import json
    import linecache
    import os
    import select
    import sys
    import threading
    import traceback
    import types
    import warnings
    from _ast import PyCF_ALLOW_TOP_LEVEL_AWAIT

    sys.path.insert(0, "")

    OWN_NAME = main.__code__.co_filename
    IS_COROUTINE = 0x80
    # Turns of a loop that is never idle after which calls leave all the same.
    PATIENCE = 1000

    # Programs that cells start do not get it: duplicates are closed on exec.
    channel = os.dup(0)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    own_process = os.getpid()
    sys.stdout.reconfigure(line_buffering=True)

    # Descriptors 0 to 2 and the streams over them, which are the runner's whatever a cell does to them; duplicates of the
    # descriptors are closed on exec.
    streams = {}
    for fd, name in enumerate(("stdin", "stdout", "stderr")):
        file = getattr(sys, name)
        how = {"mode": file.mode, "buffering": 1 if fd else -1, "encoding": file.encoding, "errors": file.errors}
        streams[name] = types.SimpleNamespace(fd=fd, kept=os.dup(fd), stat=os.fstat(fd), file=file, how=how)

    lock = threading.RLock()
    writing = threading.Lock()
    inbox = bytearray()
    cells = []
    # Calls that wait to be sent, and those that wait for an answer, by their number.
    queue, pending = [], {}
    # Loops with calls that wait, and how many; loops that are about to say that they are idle.
    watched, idling = {}, {}
    timeouts = []
    state = types.SimpleNamespace(made=0, answered=False, loop=None, limits=(0, 0), tools={})
    module = types.ModuleType("__main__")
    module.__builtins__ = builtins
    sys.modules["__main__"] = module

    def is_own_process():
        return os.getpid() == own_process

    def send(message):
        if not is_own_process():
            return
        data = json.dumps(message, ensure_ascii=False).encode()
        data = len(data).to_bytes(4, "little") + data
        with writing:
            while data:
                data = data[os.write(channel, data) :]

    def readable(seconds):
        return bool(select.select([channel], [], [], seconds)[0])

    def pump():
        """Takes what the guest has said, without waiting."""
        answered = False
        with lock:
            while is_own_process() and readable(0):
                read = os.read(channel, 1 << 20)
                if not read:
                    os._exit(0)
                inbox.extend(read)
                while len(inbox) >= 4:
                    end = 4 + int.from_bytes(inbox[:4], "little")
                    if len(inbox) < end:
                        break
                    message = json.loads(bytes(inbox[4:end]))
                    del inbox[:end]
                    if "cell" in message:
                        cells.append(message["cell"])
                        continue
                    for answer in message["answers"]:
                        settle(answer)
                        answered = True
        if answered:
            state.answered = True
            for loop in list(watched):
                in_loop(loop, expect_idle, loop)

    def in_loop(loop, function, *arguments):
        try:
            loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            pass  # It is closed.

    def settle(answer):
        call = pending.pop(answer["n"], None)
        if call is None:
            return  # Cancelled by the code.
        if answer["timed_out"]:
            error = TimeoutError(answer["text"])
            timeouts.append(error)
            in_loop(call.loop, fail, call.future, error)
        else:
            in_loop(call.loop, succeed, call.future, answer["text"])

    def succeed(future, text):
        if not future.done():
            future.set_result(text)

    def fail(future, error):
        if not future.done():
            future.set_exception(error)

    def expect_idle(loop):
        if loop not in idling:
            idling[loop] = PATIENCE
            loop.call_soon(say_idle, loop)

    def say_idle(loop):
        """Sends calls when the loop has nothing else to do, so that those of one `gather` leave together."""
        if getattr(loop, "_ready", None) and idling[loop] > 0:
            idling[loop] -= 1
            loop.call_soon(say_idle, loop)
            return
        del idling[loop]
        with lock:
            batch = []
            for call in queue:
                pending[state.made] = call
                call.n = state.made
                state.made += 1
                batch.append({"n": call.n, "name": call.name, "args": call.args})
            queue.clear()
            if not batch and not state.answered:
                return
            state.answered = False
            # Under the lock: calls of another thread's loop have later numbers, and leave later.
            send({"calls": batch})

    async def call_tool(name, args):
        import asyncio

        if not is_own_process():
            raise RuntimeError("tools can only be called in the process of the cell")
        text = json.dumps(args, allow_nan=False, ensure_ascii=False)
        most_calls, most_bytes = state.limits
        with lock:
            waiting = queue + list(pending.values())
        if len(waiting) >= most_calls:
            raise RuntimeError(f"more than {most_calls} tool calls at once")
        if sum(call.size for call in waiting) + len(text.encode()) > most_bytes:
            raise ValueError(f"the arguments of tool calls come to more than {most_bytes} bytes")
        loop = asyncio.get_running_loop()
        call = types.SimpleNamespace(
            n=None, name=name, args=text, size=len(text.encode()), loop=loop, future=loop.create_future()
        )
        with lock:
            queue.append(call)
            watched[loop] = watched.get(loop, 0) + 1
            if watched[loop] == 1:
                loop.add_reader(channel, pump)
        expect_idle(loop)
        try:
            return await call.future
        finally:
            with lock:
                if call in queue:
                    queue.remove(call)
                if pending.get(call.n) is call:
                    del pending[call.n]
                watched[loop] -= 1
                if watched[loop] == 0:
                    del watched[loop]
                    loop.remove_reader(channel)

    def make_tool(name, identifier):
        async def tool(args={}):
            if not isinstance(args, dict):
                raise TypeError(f"{identifier}() takes a dict of arguments, not {type(args).__name__}")
            return await call_tool(name, args)

        tool.__name__ = tool.__qualname__ = identifier
        tool.__module__ = "__main__"
        tool.__doc__ = f"Calls the tool `{name}` with a dict of arguments; returns the text of its result."
        return tool

    def identifier_of(name):
        import keyword

        identifier = "".join(c if c.isalnum() or c == "_" else "_" for c in name)
        if identifier[:1].isdigit():
            identifier = "_" + identifier
        return identifier + "_" if keyword.iskeyword(identifier) else identifier

    def offer(names):
        space = module.__dict__
        for identifier, tool in state.tools.items():
            if space.get(identifier) is tool:
                del space[identifier]
        state.tools = {}
        # A tool that is called as it is named goes before one whose name only comes to the same.
        for name in sorted(names, key=lambda name: name == identifier_of(name)):
            identifier = identifier_of(name)
            state.tools[identifier] = make_tool(name, identifier)
        space.update(state.tools)

    def drop_calls():
        """Calls that nobody in the cell waits for any more must not leave with the next one."""
        with lock:
            left = queue + list(pending.values())
            queue.clear()
            pending.clear()
        for call in left:
            in_loop(call.loop, call.future.cancel)

    def run_coroutine(coroutine):
        import asyncio

        if state.loop is None or state.loop.is_closed():
            state.loop = asyncio.new_event_loop()
        asyncio.set_event_loop(state.loop)
        state.loop.run_until_complete(coroutine)

    def hide(shown, path=None):
        """Leaves out our own frames, and with `path` all before the first of that file."""
        if shown is None:
            return
        frames = [frame for frame in shown.stack if frame.filename != OWN_NAME]
        if path is not None:
            first = next((i for i, frame in enumerate(frames) if frame.filename == path), len(frames))
            frames = frames[first:]
        shown.stack[:] = frames
        hide(shown.__cause__)
        hide(shown.__context__)
        for inner in getattr(shown, "exceptions", None) or ():
            hide(inner)

    def is_closed(file):
        try:
            return file is None or file.closed
        except AttributeError:
            return False
        except Exception:
            return True  # Its buffer was detached.

    def is_kept(fd, stream):
        try:
            return os.path.samestat(os.fstat(fd), stream.stat)
        except OSError:
            return False

    def renew():
        """What a cell has closed keeps no later one from working: broken descriptors are no variables."""
        for name, stream in streams.items():
            if not is_kept(stream.fd, stream) and is_kept(stream.kept, stream):
                os.dup2(stream.kept, stream.fd)
            if is_closed(stream.file) and is_kept(stream.fd, stream):
                stream.file = open(stream.fd, closefd=False, **stream.how)
            setattr(sys, f"__{name}__", stream.file)
            if is_closed(getattr(sys, name, None)):
                setattr(sys, name, stream.file)

    def tell(text):
        if is_own_process():
            flush()
            renew()
        try:
            sys.stderr.write(text)
        except Exception:
            streams["stderr"].file.write(text)

    def show_warning(warning):
        if warning.filename == OWN_NAME:
            warning.filename, warning.lineno = "sys", 1  # As Python says where nobody's code runs.
        show(warning)

    show = getattr(warnings, "_showwarnmsg_impl", None)
    if show is not None:
        warnings._showwarnmsg_impl = show_warning

    def report(error, path):
        shown = traceback.TracebackException.from_exception(error)
        hide(shown, path)
        lines = list(shown.format())
        if not shown.stack and lines[0].startswith("Traceback"):
            lines = lines[1:]
        tell("".join(lines))

    def flush():
        for file in [getattr(sys, name, None) for name in streams] + [stream.file for stream in streams.values()]:
            try:
                file.flush()
            except Exception:
                pass

    def run(cell):
        path, source = cell["path"], cell["code"]
        os.environ["INPUT_DIR"] = cell["input_dir"]
        os.environ["OUTPUT_DIR"] = cell["output_dir"]
        # As Python reads a file, which ends its last line.
        lines = source.replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n").split("\n")
        linecache.cache[path] = (len(source), None, [line + "\n" for line in lines], path)
        sys.argv = [path]
        space = module.__dict__
        space["__file__"] = path
        offer(cell["tools"])
        state.made, state.answered, state.limits = 0, False, cell["limits"]
        timeouts.clear()
        try:
            code = compile(source, path, "exec", PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
            if code.co_flags & IS_COROUTINE:
                run_coroutine(eval(code, space))
            else:
                exec(code, space)
        except SystemExit as end:
            if end.code is None or isinstance(end.code, int):
                return (end.code or 0) & 0xFF
            tell(f"{end.code}\n")
            return 1
        except KeyboardInterrupt as error:
            report(error, path)
            return 130
        except BaseException as error:
            if any(error is timeout for timeout in timeouts):
                # As the service words it: no traceback, and no failure.
                tell(f"TimeoutError: {error}")
                return 0
            report(error, path)
            return 1
        finally:
            timeouts.clear()
        return 0

    while True:
        try:
            while not cells:
                readable(None)
                pump()
            cell = cells.pop(0)
        except KeyboardInterrupt:
            continue
        renew()
        code = run(cell)
        flush()
        if not is_own_process():
            os._exit(code)
        renew()
        flush()  # What had no descriptor to go to is the cell's, too.
        drop_calls()
        try:
            send({"done": code})
        except OSError:
            os._exit(code)  # A cell has closed the channel: its code is that of the process.


main()
