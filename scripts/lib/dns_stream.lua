-- DNS over TCP (RFC 1035, 4.2.2): each message has its length in front, in two bytes. This puts each
-- direction's bytes in order as far as that is simple: what comes again is skipped, and where something is
-- missing, reading begins anew with a segment that looks like the beginning of a message.
local M = {}

local u16 = tcpkit.bytes.u16

-- Directions that are remembered; pieces and bytes that wait for the rest of their messages, over all.
local MAX_STREAMS = 20000
local MAX_PIECES = 50000
local MAX_BYTES = 16 * 1024 * 1024

local SYN = 2

-- Whether a segment begins with a message from this side, as far as eight bytes say.
local function begins(payload, is_response)
    local len, flags, questions = u16(payload, 1), u16(payload, 5), u16(payload, 7)
    return questions ~= nil and len >= 12 and questions <= 1 and (flags >= 0x8000) == is_response
end

-- push() takes a segment and calls `on_message(message)` for each message that it completes; bytes
-- that were not captured (`-s`) are missing at its end. It returns false when bytes were missed that are not
-- known to belong to one message: then there may be messages that nobody saw.
function M.new()
    local self = {}
    local streams, order, head, tail = {}, {}, 1, 0
    local pieces, bytes = 0, 0

    local function forget_waiting(stream)
        pieces = pieces - #stream.pieces
        bytes = bytes - stream.have
        stream.pieces, stream.have, stream.known, stream.need = {}, 0, nil, 2
    end

    local function forget_oldest()
        forget_waiting(streams[order[head]])
        streams[order[head]], order[head] = nil, nil
        head = head + 1
    end

    local function get(key)
        local stream = streams[key]
        if stream then
            return stream
        end
        if tail - head + 1 >= MAX_STREAMS then
            forget_oldest()
        end
        -- `next` is the sequence number of the byte that comes next, `have` how many bytes wait, `known` how
        -- many of those were captured (nil: all), `need` how many complete what is being read.
        stream = { next = nil, pieces = {}, have = 0, known = nil, need = 2 }
        streams[key] = stream
        tail = tail + 1
        order[tail] = key
        return stream
    end

    -- Adds what was captured of `size` bytes.
    local function add(stream, payload, size)
        if #payload < size and stream.known == nil then
            stream.known = stream.have + #payload
        end
        if stream.known == nil or stream.known > stream.have then
            stream.pieces[#stream.pieces + 1] = payload
            pieces = pieces + 1
        end
        stream.have = stream.have + size
        bytes = bytes + size
    end

    -- Takes the messages that are complete; false where a length is missing or is none.
    local function take(stream, on_message)
        if stream.have < stream.need then
            return true
        end
        local all, at = table.concat(stream.pieces), 1
        local is_sound = true
        while stream.have >= stream.need do
            local len = stream.have >= 2 and u16(all, at)
            if not len or len < 12 then
                is_sound = false
                break
            end
            stream.need = 2 + len
            if stream.have >= stream.need then
                on_message(all:sub(at + 2, at + stream.need - 1))
                at = at + stream.need
                bytes = bytes - stream.need
                stream.have = stream.have - stream.need
                if stream.known then
                    stream.known = math.max(stream.known - stream.need, 0)
                end
                stream.need = 2
            end
        end
        pieces = pieces - #stream.pieces + 1
        stream.pieces = { all:sub(at) }
        if stream.have == 0 then
            forget_waiting(stream)
        end
        return is_sound
    end

    function self.push(key, packet, is_response, on_message)
        local is_syn = bit32.band(packet.flags, SYN) ~= 0
        if packet.size == 0 and not is_syn then
            return true
        end
        local stream = get(key)
        local seq, payload, size = packet.seq, packet.payload, packet.size
        if is_syn then
            forget_waiting(stream)
            stream.next = (seq + 1) % 2 ^ 32
            return true
        end
        local is_complete = true
        local ahead = stream.next and (seq - stream.next) % 2 ^ 32
        if ahead and ahead >= 2 ^ 31 then
            -- Some of it, or all, came before.
            local old = 2 ^ 32 - ahead
            if old >= size then
                return true
            end
            payload, size, seq, ahead = payload:sub(old + 1), size - old, stream.next, 0
        end
        if ahead ~= 0 then
            is_complete = stream.next == nil
            forget_waiting(stream)
            stream.next = nil
            if not begins(payload, is_response) then
                return false
            end
        end
        stream.next = (seq + size) % 2 ^ 32
        add(stream, payload, size)
        if not take(stream, on_message) then
            forget_waiting(stream)
            stream.next = nil
            return false
        end
        -- The oldest make room, not all that come later.
        while pieces > MAX_PIECES or bytes > MAX_BYTES do
            forget_oldest()
        end
        return is_complete
    end

    return self
end

return M
