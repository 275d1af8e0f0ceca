---@meta tcpkit

-- What a script of tcpkit finds: the functions that it may define, the tables that they get, and the table
-- `tcpkit`. `tcpkit --script-api` prints this file. An editor with the Lua language server (LuaLS) completes
-- and checks scripts with it: put it into the workspace, or its folder into `Lua.workspace.library`.
--
-- The language is Lua 5.2. Numbers are double precision: whole numbers are exact up to 2^53.

---------------------------------------------------------------------------------------------------------
-- Functions that a script defines, each of them if it wants to; one of the last five at least.
---------------------------------------------------------------------------------------------------------

---Called once, after the script was loaded and before anything is captured.
---@param options tcpkit.Options
function init(options) end

---Called for every captured packet of TCP and UDP, in the order in which they were captured. One that was
---captured on several interfaces comes once.
---@param packet tcpkit.Packet
function process(packet) end

---Called for every request with its response (with `-p`; of at least `-t` ms), when it is complete.
---@param t tcpkit.Transaction
function transaction(t) end

---Called when a TCP connection opens, is established, and closes. Needs no `-p`.
---@param c tcpkit.Connection
function connection(c) end

---Called once a second, also while no packets come. Of a file by the times of its packets: once for each
---second in which there are some.
---@param now number the second that begins, since 1970
function tick(now) end

---Called at the end, after the last packet and the last of everything else.
function finish() end

---------------------------------------------------------------------------------------------------------
-- What they get. These are tables of the script's own: it may keep and change them.
---------------------------------------------------------------------------------------------------------

---The words behind `--` on the command line, as a list; those of the form `name=value` (or `--name=value`)
---by their names, too.
---@class tcpkit.Options
---@field [integer] string
---@field [string] string

---@class tcpkit.Packet
---@field tv_sec integer when it was captured: seconds since 1970 …
---@field tv_usec integer … and microseconds of that second …
---@field tv_nsec integer … or nanoseconds of it, which loses nothing
---@field time string the same in UTC, such as 2020-03-08T19:23:06.258761123Z (made when touched)
---@field time_ns string the same in nanoseconds since 1970, in digits: a number could not hold them (made when touched)
---@field sip string source address
---@field sport integer source port
---@field dip string destination address
---@field dport integer destination port
---@field type? "request"|"response" from the client or from the server; nil if nothing but the order of the ports would say who the client is
---@field request? boolean whether `type` is "request"; nil as there
---@field proto "tcp"|"udp"
---@field size integer payload that it carries, in bytes, captured or not
---@field payload string the payload that was captured (`-s`), at most `size` bytes
---@field len integer length of the frame on the wire, in bytes
---@field interface? string where it was captured; nil if a file does not say
---@field direction? "in"|"out" whether the host received or sent it; nil if that is not known: files may not say, and `--backend packet` does not on named interfaces
---@field seq? integer TCP: sequence number, as in the header
---@field ack? integer TCP: acknowledgment number, as in the header
---@field flags? integer TCP: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32, ECE 64, CWR 128
---@field window? integer TCP: window, not scaled

---An end of a connection. `tostring` and `..` give `ip:port` (`[ip]:port` for IPv6), `==` compares. It is
---shared between tables: do not change it.
---@class tcpkit.Endpoint
---@field ip string
---@field port integer

---A request and its response: what an object of `--format json` has, under the same names.
---@class tcpkit.Transaction
---@field time string when the request's first byte was captured, such as 2020-03-08T19:23:06.258761123Z (made when touched)
---@field time_ns string the same in nanoseconds since 1970, in digits (made when touched)
---@field tv_sec integer the same in seconds since 1970 …
---@field tv_nsec integer … and nanoseconds of that second
---@field client tcpkit.Endpoint
---@field server tcpkit.Endpoint
---@field protocol string as `-p` names it
---@field operation string what was asked for, for grouping: a command, a method with its path …
---@field request string the request as a person would type it, at most `--max-text` bytes
---@field response? string a word on the response, such as 404; nil where there is none
---@field status "ok"|"error"|"unknown" what the server made of it
---@field cancelled? true the client gave up before the response was complete
---@field latency_us number from the request's first byte to the response's last, in µs with three decimals; the sum of the next three
---@field request_us number from the request's first byte to its last, in µs
---@field wait_us number from the request's last byte to the response's first, in µs
---@field response_us number from the response's first byte to its last, in µs
---@field first_us? number from the request's first byte to the end of the first message that the response streams, in µs
---@field deadline_us? number how long the client was willing to wait, in µs
---@field past_deadline? boolean whether it took as long; there if `deadline_us` is
---@field request_bytes integer payload of the request on the wire
---@field response_bytes integer payload of the response on the wire
---@field quality "exact"|"midstream"|"gap"|"truncated" how much of its connection was seen
---@field fields table<string, number|string> details that depend on the protocol (docs/protocols.md); whole numbers beyond 2^53 are strings of digits

---@class tcpkit.Connection
---@field event "open"|"established"|"close"
---@field reason? "fin"|"reset"|"refused"|"unanswered"|"quiet"|"evicted"|"replaced"|"end" of a close: how it ended (docs/lua.md)
---@field id integer counts the connections of a run from 1 on; the same in all events of one
---@field time string when, such as 2020-03-08T19:23:06.258761123Z (made when touched)
---@field time_ns string the same in nanoseconds since 1970, in digits (made when touched)
---@field tv_sec integer the same in seconds since 1970 …
---@field tv_nsec integer … and nanoseconds of that second
---@field client tcpkit.Endpoint
---@field server tcpkit.Endpoint
---@field interface? string where its first packet was captured
---@field midstream boolean it was there before its first captured packet; then there is no handshake
---@field connect_us? number from the client's first SYN to the server's answer, in µs: what connect() takes on the client
---@field handshake_us? number from the client's first SYN to its acknowledgment of the server's, in µs
---@field duration_us number from its first packet until now, in µs
---@field syn_retransmits integer how often the client sent its SYN again
---@field synack_retransmits integer how often the server sent its SYN again
---@field client_packets integer packets from the client, those without payload, too
---@field client_bytes integer payload from the client, in bytes, with what was sent again
---@field client_retransmits integer packets from the client all of whose payload had been sent before
---@field server_packets integer
---@field server_bytes integer
---@field server_retransmits integer

---------------------------------------------------------------------------------------------------------
-- What it may call, beside Lua's own libraries.
---------------------------------------------------------------------------------------------------------

---@class tcpkit
---@field version string
tcpkit = {}

---Percentiles of any number of values in about 10 KB, exact to 1 %. Values have three decimals.
---@return tcpkit.Histogram
function tcpkit.histogram() end

---@class tcpkit.Histogram
local Histogram = {}

---Adds a value, `count` times.
---@param value number from 0 to 9e15
---@param count? integer 1 if left out
function Histogram:record(value, count) end

---@param percent number from 0 to 100
---@return number? value nil while it is empty
function Histogram:percentile(percent) end

---@return integer
function Histogram:count() end

---@return number? value exact; nil while it is empty
function Histogram:min() end

---@return number? value exact; nil while it is empty
function Histogram:max() end

---@return number? value exact; nil while it is empty
function Histogram:mean() end

---@return number
function Histogram:sum() end

---Adds the values of another.
---@param other tcpkit.Histogram
function Histogram:merge(other) end

---Forgets all values.
function Histogram:reset() end

---Prints a table as a line of JSON. Lists become arrays, keys are sorted; at most 1 MiB.
---@param t table
function tcpkit.emit(t) end

---Sets a number that the statistics show, under a name and labels as Prometheus allows them.
---@param name string letters, digits, `_` and `:`
---@param labels? table<string, string|number>
---@param value number
function tcpkit.metric(name, labels, value) end

---Writes to the agent's log, on stderr. "info" needs `-v` to be shown, "debug" `-vv`.
---@param text string
---@param level? "error"|"warn"|"info"|"debug" "warn" if left out
function tcpkit.log(text, level) end

---Ends the run in order: nothing more is captured, and `finish` is called.
function tcpkit.stop() end

---The time between two packets, transactions or connection events, in ns; exact.
---@param from { tv_sec: integer, tv_nsec: integer }
---@param to { tv_sec: integer, tv_nsec: integer }
---@return number
function tcpkit.elapsed_ns(from, to) end

---Numbers in bytes. Names without `le` are of network order (big-endian). `at` is the position of the first
---byte, 1 if left out. The result is nil where the string ends before.
---@class tcpkit.bytes
tcpkit.bytes = {}

---@param s string
---@param at? integer
---@return integer?
function tcpkit.bytes.u8(s, at) end

---@param s string
---@param at? integer
---@return integer?
function tcpkit.bytes.i8(s, at) end

---@param s string
---@param at? integer
---@return integer?
function tcpkit.bytes.u16(s, at) end

---@param s string
---@param at? integer
---@return integer?
function tcpkit.bytes.i16(s, at) end

---@param s string
---@param at? integer
---@return integer?
function tcpkit.bytes.u24(s, at) end

---@param s string
---@param at? integer
---@return integer?
function tcpkit.bytes.i24(s, at) end

---@param s string
---@param at? integer
---@return integer?
function tcpkit.bytes.u32(s, at) end

---@param s string
---@param at? integer
---@return integer?
function tcpkit.bytes.i32(s, at) end

---@param s string
---@param at? integer
---@return number? value exact up to 2^53
---@return integer? high its upper 32 bits
---@return integer? low its lower 32 bits
function tcpkit.bytes.u64(s, at) end

---@param s string
---@param at? integer
---@return number? value exact up to 2^53, either way
---@return integer? high its upper 32 bits
---@return integer? low its lower 32 bits
function tcpkit.bytes.i64(s, at) end

tcpkit.bytes.u8le = tcpkit.bytes.u8
tcpkit.bytes.i8le = tcpkit.bytes.i8
tcpkit.bytes.u16le = tcpkit.bytes.u16
tcpkit.bytes.i16le = tcpkit.bytes.i16
tcpkit.bytes.u24le = tcpkit.bytes.u24
tcpkit.bytes.i24le = tcpkit.bytes.i24
tcpkit.bytes.u32le = tcpkit.bytes.u32
tcpkit.bytes.i32le = tcpkit.bytes.i32
tcpkit.bytes.u64le = tcpkit.bytes.u64
tcpkit.bytes.i64le = tcpkit.bytes.i64

---Bytes in hexadecimal.
---@param s string
---@param from? integer
---@param to? integer
---@return string
function tcpkit.bytes.hex(s, from, to) end

---Text that a terminal can show: all that is not printable ASCII as \xNN.
---@param s string
---@return string
function tcpkit.bytes.escape(s) end
