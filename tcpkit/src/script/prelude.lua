-- The part of a script's state that is written in Lua: it runs before the script and gets what the agent
-- offers. It returns the functions by which the agent calls the script.
local native, allows_all = ...

local byte, format, gsub, sub = string.byte, string.format, string.gsub, string.sub
local concat, select, tostring, type, error, next, rawget, rawset, setmetatable =
    table.concat, select, tostring, type, error, next, rawget, rawset, setmetatable

-- What scripts may not do unless --script-unsafe says so. --------------------------------------------------

local function refuse(name, what, level)
    error(name .. " is off, since scripts may not " .. what .. "; --script-unsafe allows it", level + 1)
end

local function off(name, what)
    return function() refuse(name, what, 2) end
end

local function all_off(library, names, what)
    local prefix = library .. "."
    for _, name in ipairs(names) do
        _G[library][name] = off(prefix .. name, what)
    end
end

-- Output: everything that a script writes goes through the agent's buffer. ---------------------------------

local write, write_error, flush = native.write, native.write_error, native.flush

function print(...)
    local count = select("#", ...)
    if count == 1 then
        write(tostring((...)) .. "\n")
        return
    end
    local texts = { ... }
    for at = 1, count do
        texts[at] = tostring(texts[at])
    end
    write(concat(texts, "\t", 1, count) .. "\n")
end

-- The texts that a file's write() was given, as one.
local function joined(...)
    local count = select("#", ...)
    for at = 1, count do
        local kind = type((select(at, ...)))
        if kind ~= "string" and kind ~= "number" then
            error(format("bad argument #%d to 'write' (string expected, got %s)", at, kind), 3)
        end
    end
    return count == 1 and tostring((...)) or concat({ ... })
end

-- A file that can only be written to.
local function writable(put, name)
    local file = {}
    local methods = {
        write = function(self, ...)
            put(joined(...))
            return self
        end,
        flush = function(self)
            flush()
            return self
        end,
        -- The agent decides; scripts made for a terminal ask for lines.
        setvbuf = function() return true end,
        seek = function() return nil, "Illegal seek", 29 end,
        close = function() return nil, "the agent needs it" end,
    }
    for _, missing in ipairs { "read", "lines" } do
        methods[missing] = function() error(name .. " can only be written to", 2) end
    end
    return setmetatable(file, { __index = methods, __tostring = function() return "file (" .. name .. ")" end })
end

local stdout = writable(write, "stdout")
local stderr = writable(write_error, "stderr")

if allows_all then
    local real_output, chosen = io.output, nil
    io.output = function(file)
        if file == nil then
            return chosen or stdout
        end
        chosen = file ~= stdout and real_output(file) or nil
        return chosen or stdout
    end
    io.write = function(...)
        if chosen then
            return chosen:write(...)
        end
        write(joined(...))
        return stdout
    end
    os.exit = native.exit
else
    local files = "open files or run programs"
    io = { }
    all_off("io", { "open", "popen", "tmpfile", "lines", "input", "read", "close" }, files)
    io.output = function(file)
        if file ~= nil and file ~= stdout then
            refuse("io.output", files, 2)
        end
        return stdout
    end
    io.write = function(...)
        write(joined(...))
        return stdout
    end
    io.type = function(file) return (file == stdout or file == stderr) and "file" or nil end
    io.stdin = setmetatable({}, { __index = function(_, name) refuse("io.stdin:" .. tostring(name), files, 2) end })
    all_off("os", { "execute", "remove", "rename", "tmpname", "setlocale" }, "change files or run programs")
    os.exit = function()
        error("os.exit is off, since scripts may not end the agent: tcpkit.stop() ends the run in order; "
            .. "--script-unsafe allows it", 2)
    end
    for _, name in ipairs { "dofile", "loadfile" } do
        _G[name] = off(name, "open files (require finds those beside the script)")
    end
    local real_load = load
    -- Only text: a compiled chunk can do anything.
    load = function(chunk, name, mode, ...)
        if mode ~= nil and mode ~= "t" and mode ~= "bt" or type(chunk) == "string" and byte(chunk) == 27 then
            refuse("load of compiled chunks", "do what the agent cannot check", 2)
        end
        return real_load(chunk, name, "t", ...)
    end
    package.searchpath = off("package.searchpath", files)
    package.path, package.cpath = "", ""
    package.searchers[2] = function(name)
        local chunk, message = native.find_module(name)
        if chunk == nil then
            return message
        elseif not chunk then
            error(message, 0)
        end
        return chunk, message
    end
    package.searchers[3] = nil
    package.loaded.io = io
    -- Nothing could end a finalizer that does not end by itself.
    function _G.setmetatable(t, metatable)
        if type(metatable) == "table" and rawget(metatable, "__gc") ~= nil then
            refuse("__gc", "run when nobody can end them", 2)
        end
        return setmetatable(t, metatable)
    end
end
package.loadlib = function() error("package.loadlib is off: scripts are made of Lua only", 2) end
io.stdout, io.stderr = stdout, stderr

local real_xpcall, exceeded = xpcall, native.exceeded
-- Where the budget is exceeded, the handler would run where nobody can end it.
xpcall = function(f, handler, ...)
    local function handle(message)
        if exceeded() then
            return message
        end
        return handler(message)
    end
    return real_xpcall(f, handle, ...)
end

debug = { traceback = native.traceback }
package.loaded.debug = debug

-- Old scripts print the global function `type` where they mean the packet's: as text it is that, while a
-- packet is processed.
local kind_now
native.set_function_text(function(f)
    if f == type and kind_now ~= nil then
        return kind_now or "nil"
    end
    return native.address(f)
end)

-- The table `tcpkit`. --------------------------------------------------------------------------------------

-- A number made of `count` bytes of `s` from `at` on; nil where there are not so many.
local function unsigned(count, is_little)
    local weights = {}
    for i = 1, count do
        weights[i] = 256 ^ (is_little and i - 1 or count - i)
    end
    if count == 1 then
        return function(s, at) return (byte(s, at or 1)) end
    elseif count == 2 then
        local one, two = weights[1], weights[2]
        return function(s, at)
            at = at or 1
            local a, b = byte(s, at, at + 1)
            return b and a * one + b * two
        end
    end
    return function(s, at)
        at = at or 1
        local value = 0
        local bytes = { byte(s, at, at + count - 1) }
        if #bytes < count then
            return nil
        end
        for i = 1, count do
            value = value + bytes[i] * weights[i]
        end
        return value
    end
end

local bytes = {}
for _, count in ipairs { 1, 2, 3, 4 } do
    for suffix, is_little in pairs { [""] = false, le = true } do
        local bits = count * 8
        local read, modulus = unsigned(count, is_little), 2 ^ bits
        bytes["u" .. bits .. suffix] = read
        bytes["i" .. bits .. suffix] = function(s, at)
            local value = read(s, at)
            return value and (value >= modulus / 2 and value - modulus or value)
        end
    end
end
for suffix, offsets in pairs { [""] = { 0, 4 }, le = { 4, 0 } } do
    local read = bytes["u32" .. suffix]
    bytes["u64" .. suffix] = function(s, at)
        at = at or 1
        local high, low = read(s, at + offsets[1]), read(s, at + offsets[2])
        if high and low then
            return high * 2 ^ 32 + low, high, low
        end
        return nil
    end
    bytes["i64" .. suffix] = function(s, at)
        at = at or 1
        local high, low = read(s, at + offsets[1]), read(s, at + offsets[2])
        if high and low then
            return (high >= 2 ^ 31 and high - 2 ^ 32 or high) * 2 ^ 32 + low, high, low
        end
        return nil
    end
end

function bytes.hex(s, from, to)
    return (gsub(sub(s, from or 1, to or -1), ".", function(c) return format("%02x", byte(c)) end))
end

function bytes.escape(s)
    return (gsub(s, "[^ -~]", function(c) return format("\\x%02x", byte(c)) end))
end

local function elapsed_ns(from, to)
    return (to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec)
end

-- A function of the agent that gives a message where it fails.
local function checked(f)
    return function(...)
        local message = f(...)
        if message then
            error(message, 2)
        end
    end
end

tcpkit = {
    version = native.version,
    histogram = native.histogram,
    emit = checked(native.emit),
    metric = checked(native.metric),
    log = checked(native.log),
    stop = native.stop,
    elapsed_ns = elapsed_ns,
    bytes = bytes,
}
package.loaded.tcpkit = tcpkit

-- Tables that scripts get. ---------------------------------------------------------------------------------

-- A metatable whose `made` are fields that are made when they are touched; pairs() shows them, too.
local pairs = pairs
local function lazily(made)
    local function touch(t, key)
        local make = made[key]
        if make then
            return make(t, key)
        end
    end
    return {
        __index = touch,
        __pairs = function(t)
            for key in pairs(made) do
                rawset(t, key, t[key])
            end
            return next, t, nil
        end,
    }
end

local function time_ns(t)
    return format("%d%09d", t.tv_sec, t.tv_nsec)
end

local function time(t)
    return native.time(t.tv_sec, t.tv_nsec)
end

local packet_meta = lazily { time = time, time_ns = time_ns }

-- What the agent keeps of a transaction's texts until somebody asks for them, behind this key.
local PACKED = 0

local function unpack_texts(t, key)
    local packed = rawget(t, PACKED)
    if packed == nil then
        return nil
    end
    rawset(t, PACKED, nil)
    local request, response, fields = native.unpack(packed)
    rawset(t, "request", request)
    rawset(t, "response", response)
    rawset(t, "fields", fields)
    return rawget(t, key)
end

local transaction_meta = lazily {
    time = time,
    time_ns = time_ns,
    request = unpack_texts,
    response = unpack_texts,
    fields = unpack_texts,
}

local connection_meta = lazily { time = time, time_ns = time_ns }

-- Ends of connections are shared between the tables that show them, so they are compared by value.
local endpoint_meta = {
    __tostring = function(e)
        return e.ip:find(":", 1, true) and "[" .. e.ip .. "]:" .. e.port or e.ip .. ":" .. e.port
    end,
    __eq = function(a, b) return a.ip == b.ip and a.port == b.port end,
    __concat = function(a, b) return tostring(a) .. tostring(b) end,
}

return {
    endpoint = function(ip, port)
        return setmetatable({ ip = ip, port = port }, endpoint_meta)
    end,
    -- A plain table made by the virtual machine: from the outside each field would cost a call.
    process = function(tv_sec, tv_usec, tv_nsec, sip, sport, dip, dport, kind, request, proto, size, len,
                       interface, direction, payload, seq, ack, flags, window)
        kind_now = kind or false
        process(setmetatable({
            tv_sec = tv_sec,
            tv_usec = tv_usec,
            tv_nsec = tv_nsec,
            sip = sip,
            sport = sport,
            dip = dip,
            dport = dport,
            type = kind,
            request = request,
            proto = proto,
            size = size,
            len = len,
            interface = interface,
            direction = direction,
            payload = payload,
            seq = seq,
            ack = ack,
            flags = flags,
            window = window,
        }, packet_meta))
        kind_now = nil
    end,
    -- An error left the packet's call.
    leave = function() kind_now = nil end,
    transaction = function(packed, tv_sec, tv_nsec, client, server, protocol, operation, status, latency_us,
                           request_us, wait_us, response_us, request_bytes, response_bytes, quality,
                           is_special, cancelled, first_us, deadline_us, past_deadline)
        local t = setmetatable({
            [PACKED] = packed,
            tv_sec = tv_sec,
            tv_nsec = tv_nsec,
            client = client,
            server = server,
            protocol = protocol,
            operation = operation,
            status = status,
            latency_us = latency_us,
            request_us = request_us,
            wait_us = wait_us,
            response_us = response_us,
            request_bytes = request_bytes,
            response_bytes = response_bytes,
            quality = quality,
        }, transaction_meta)
        if is_special then
            t.cancelled = cancelled
            t.first_us = first_us
            t.deadline_us = deadline_us
            t.past_deadline = past_deadline
        end
        return transaction(t)
    end,
    connection = function(c) return connection(setmetatable(c, connection_meta)) end,
    tick = function(now) return tick(now) end,
    finish = function() return finish() end,
    init = function(options) return init(options) end,
}
