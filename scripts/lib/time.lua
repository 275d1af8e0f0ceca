-- Times as the agent's own lines show them, and as its JSON does.
local M = {}

local second, second_text

local function text_of(tv_sec)
    if tv_sec ~= second then
        second, second_text = tv_sec, os.date("%Y-%m-%d %H:%M:%S", tv_sec)
    end
    return second_text
end

-- When something happened (what has tv_sec and tv_nsec), `ago_us` microseconds before that: in local time with
-- microseconds, or for JSON in UTC with nanoseconds.
function M.stamp(it, as_json, ago_us)
    -- Microseconds have three decimals, so this is whole again.
    local ns = it.tv_nsec - math.floor((ago_us or 0) * 1000 + 0.5)
    local seconds = math.floor(ns / 1e9)
    if as_json then
        return ("%s.%09dZ"):format(os.date("!%Y-%m-%dT%H:%M:%S", it.tv_sec + seconds), ns - seconds * 1e9)
    end
    return ("%s.%06d"):format(text_of(it.tv_sec + seconds), math.floor((ns - seconds * 1e9) / 1000))
end

-- Microseconds as milliseconds; `-` where there are none.
function M.ms(us)
    return us and ("%.3f ms"):format(us / 1000) or "-"
end

return M
