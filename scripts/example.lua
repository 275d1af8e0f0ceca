-- A first script: one line for each packet that carries something.
--
--     tcpkit -i eth0 -S scripts/example.lua 'tcp port 6379'
--     tcpkit -r capture.pcap -S scripts/example.lua
--
-- It takes no options. A line has the time, the ends, which way it goes, sequence and acknowledgment number,
-- flags, the length of the payload and its beginning:
--
--     2026-11-26 11:25:57.518456 10.9.0.1:48740=>10.9.0.2:6379 request 4241634555 759516567 PA 33 *3\x0d\x0a$3\x0d\x0aset\x0d...

-- The letters of TCP's flags, from the lowest bit on.
local LETTERS = { "F", "S", "R", "P", "A", "U", "E", "C" }

local function letters(flags)
    local text = ""
    for at, letter in ipairs(LETTERS) do
        -- `bit32` comes with Lua 5.2.
        if bit32.extract(flags, at - 1) == 1 then
            text = text .. letter
        end
    end
    return text
end

-- The agent calls this for every packet of TCP and UDP. `packet` is an ordinary table.
function process(packet)
    if packet.size == 0 then -- skip the SYN and bare ACKs
        return
    end
    local time = ("%s.%06d"):format(os.date("%Y-%m-%d %H:%M:%S", packet.tv_sec), packet.tv_usec)
    local about = "udp"
    if packet.proto == "tcp" then
        about = ("%u %u %s"):format(packet.seq, packet.ack, letters(packet.flags))
    end
    -- What came by the wire goes to a terminal only when it was escaped.
    local payload = tcpkit.bytes.escape(packet.payload:sub(1, 60))
    if packet.size > 60 then
        payload = payload .. "..."
    end
    print(("%s %s:%d=>%s:%d %s %s %d %s"):format(
        time, packet.sip, packet.sport, packet.dip, packet.dport, packet.type or "-", about, packet.size, payload))
end

-- There is more to define: `tcpkit --script-api` shows transaction(t), connection(c), tick(now), init(options)
-- and finish(), and what they get.
