-- Judges and changes the counters of one call, all in one piece. What each shape means stands in policies::limit; here it
-- stands a second time, since nothing else can run beside the numbers. Tests compare both, call by call.
--
-- KEYS: counters, in a Cluster all of one slot.
-- ARGV: the verb, the call (16 hexadecimal digits), the time (empty for that of this server's clock), which counters may be
--       made (0 none, 1 those that refuse, 2 any); then for each key the kind, 1 if it refuses (0 if it only reports), a
--       number (tokens; of a call that is taken back when it was taken, the same for all keys), and six terms of the kind.
-- Gives: the time, 1 if it was done (2 if a counter that may not be made is lacking), then for each key 1 if there is room,
--        how many tokens more were taken, 1 if it was made, its numbers.
--
-- A counter is text: the last calls that changed it, so that a call that is sent twice is counted once; `;`; the kind and
-- its numbers. Times are milliseconds, those of buckets with the nanoseconds beyond: one number would not hold both.

local HEAD, FIELDS, BACK, SWEEP, CALLS = 4, 9, 5000, 60000, 4
local ALMATY, DAY = 18000000, 86400000

local verb, call, time, may = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local bad = not may or #ARGV ~= HEAD + FIELDS * #KEYS or #KEYS == 0
if bad or not string.match(call, '^%x+$') or #call ~= 16 then
    return redis.error_reply('ARGUMENTS are none of ours')
end
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
if time ~= '' then now = tonumber(time) end
if not now then return redis.error_reply('ARGUMENTS are none of ours') end

local kinds = {}

-- Terms: the nanoseconds of a token, of all of them, and of as many as can be owed. Numbers: when it is full. Between
-- reading and writing it is the nanoseconds that are used.
kinds.B = {
    terms = 3,
    numbers = 2,
    current = function(kept, t)
        local used = (kept[1] - now) * 1000000 + kept[2]
        if used <= 0 then return nil end
        if used > t[3] + BACK * 1000000 then return { t[3] }, true end
        return { used }
    end,
    room = function(held, t) return (held and held[1] or 0) + t[1] <= t[2] end,
    take = function(held, t, more)
        local used = (held and held[1] or 0) + t[1]
        local taken = math.max(0, math.min(more, math.floor((t[2] - used) / t[1])))
        return { used + taken * t[1] }, taken
    end,
    settle = function(held, t, tokens)
        local used = held and held[1] or 0
        return { math.max(0, math.min(used + tokens * t[1], t[3] + BACK * 1000000)) }
    end,
    undo = function(held, t) return { math.max(0, held[1] - t[1]) } end,
    write = function(held)
        local millis = math.floor(held[1] / 1000000)
        -- What fills for decades has more digits than a number holds: as milliseconds it may have been rounded up.
        return { now + millis, math.max(0, held[1] - millis * 1000000) }
    end,
    over = function(held) return now + held[1] / 1000000 end,
}

-- A window of a fixed length. Terms: the most, its length, how far before the epoch one begins.
-- Numbers: when the window began, how many were counted.
local function fixed(at, t) return math.floor((at + t[3]) / t[2]) * t[2] - t[3] end

-- A month. Terms: the most, and when four months in a row begin, of which the second is that of whoever asks.
local function month(at, t)
    for place = 5, 3, -1 do
        if at >= t[place] then return t[place] end
    end
    return t[2]
end

local function calendar(terms, start, over)
    return {
        terms = terms,
        numbers = 2,
        current = function(kept, t)
            local begun = start(now, t)
            if kept[1] < begun then return nil end
            if kept[1] - now > BACK then return { begun, kept[2] }, true end
            return kept
        end,
        room = function(held, t) return (held and held[2] or 0) < t[1] end,
        take = function(held, t)
            if not held then return { start(now, t), 1 }, 0 end
            return { held[1], held[2] + 1 }, 0
        end,
        -- A window that is over was forgotten with the call.
        undo = function(held, t, at)
            return { held[1], start(at, t) == held[1] and math.max(0, held[2] - 1) or held[2] }
        end,
        over = over,
    }
end
kinds.W = calendar(3, fixed, function(held, t) return held[1] + t[2] end)
kinds.M = calendar(5, month, function(held) return held[1] + 31 * DAY end)

-- The time up to now. Terms: the most, the length of a slot. Numbers: the newest slot, then what eight slots counted.
kinds.R = {
    terms = 2,
    numbers = 9,
    current = function(kept, t)
        local slot, moved = math.floor(now / t[2]), false
        if kept[1] * t[2] - now > BACK then kept[1], moved = slot, true end
        local gone = slot - kept[1]
        if gone <= 0 then return kept, moved end
        local held, any = { slot }, 0
        for place = 2, 9 do
            held[place] = place - gone >= 2 and kept[place - gone] or 0
            any = any + held[place]
        end
        if any == 0 then return nil end
        return held, moved
    end,
    room = function(held, t)
        local sum = 0
        for place = 2, 9 do sum = sum + (held and held[place] or 0) end
        return sum < t[1]
    end,
    take = function(held, t)
        held = held or { math.floor(now / t[2]), 0, 0, 0, 0, 0, 0, 0, 0 }
        held[2] = held[2] + 1
        return held, 0
    end,
    undo = function(held, t, at)
        local place = 2 + math.max(0, held[1] - math.floor(at / t[2]))
        if held[place] then held[place] = math.max(0, held[place] - 1) end
        return held
    end,
    over = function(held, t) return (held[1] + 8) * t[2] end,
}

-- Questions. Terms: first, gap, the most, within. Numbers: when it began, the last question, how many there were.
kinds.P = {
    terms = 4,
    numbers = 3,
    current = function(kept, t)
        local moved = kept[2] - now > BACK
        if moved then kept = { kept[1] - (kept[2] - now), now, kept[3] } end
        if now >= kept[1] + t[4] then return nil end
        return kept, moved
    end,
    room = function(held, t)
        if not held then return true end
        local pause = held[3] == 0 and t[1] or t[2]
        return held[3] < t[3] and now >= held[2] + pause
    end,
    take = function(held)
        if not held then return { now, now, 1 }, 0 end
        return { held[1], math.max(held[2], now), held[3] + 1 }, 0
    end,
    -- Before a question that is the last one, another might have come a pause earlier. What began with it is over.
    undo = function(held, t, at)
        local began, last, asked = held[1], held[2], math.max(0, held[3] - 1)
        if last ~= at then return { began, last, asked } end
        if asked > 0 then return { began, math.max(began, last - t[2]), asked } end
        if last == began and t[1] > 0 then return { now - t[4], now - t[4], 0 } end
        return { began, began, 0 }
    end,
    begin = function(held) return held or { now, now, 0 } end,
    over = function(held, t) return held[1] + t[4] end,
}

-- Sessions. Terms: how many a day, calls, calls a second, idle.
-- Numbers: the day, how many have begun on it, the last call, how many calls, how many in its second.
local today = math.floor((now + ALMATY) / DAY)
local function second(at) return math.floor(at / 1000) end

kinds.S = {
    terms = 4,
    numbers = 5,
    current = function(kept, t)
        local day, begun, last, calls, burst = unpack(kept)
        local moved = last - now > BACK
        if moved then day, last = math.min(day, today), now end
        if day < today then day, begun = today, 0 end
        if now >= last + t[4] then calls, burst = 0, 0 end
        if begun <= 0 and calls <= 0 then return nil end
        return { day, begun, last, calls, burst }, moved
    end,
    room = function(held, t)
        if not held then return true end
        if held[4] == 0 then return held[2] < t[1] end
        local burst = second(now) > second(held[3]) and 0 or held[5]
        return held[4] < t[2] and burst < t[3]
    end,
    take = function(held)
        if not held then return { today, 1, now, 1, 1 }, 0 end
        local last = math.max(held[3], now)
        if held[4] == 0 then return { held[1], held[2] + 1, last, 1, 1 }, 0 end
        local burst = second(last) > second(held[3]) and 1 or held[5] + 1
        return { held[1], held[2], last, held[4] + 1, burst }, 0
    end,
    undo = function(held)
        -- A session begins with its first call, and not with one that was refused.
        if held[4] == 1 then return { held[1], math.max(0, held[2] - 1), held[3], 0, 0 } end
        return { held[1], held[2], held[3], math.max(0, held[4] - 1), math.max(0, held[5] - 1) }
    end,
    over = function(held, t) return math.max(held[3] + t[4], (held[1] + 1) * DAY - ALMATY) end,
}

-- Reads each counter and what was said of it.
local counters, known, full, lacking = {}, false, true, false
for place, key in ipairs(KEYS) do
    local first = HEAD + FIELDS * (place - 1)
    local letter, enforced, tokens = ARGV[first + 1], ARGV[first + 2] == '1', tonumber(ARGV[first + 3])
    local kind, terms = kinds[letter], {}
    if not kind or not tokens then return redis.error_reply('ARGUMENTS are none of ours') end
    for term = 1, kind.terms do
        terms[term] = tonumber(ARGV[first + 3 + term])
        if not terms[term] then return redis.error_reply('ARGUMENTS are none of ours') end
    end
    local counter = { kind = kind, letter = letter, terms = terms, tokens = tokens, calls = '', more = 0, made = 0 }
    local text = redis.call('GET', key)
    if text then
        local calls, was, rest = string.match(text, '^(%x*);(%u)([ %d-]*)$')
        local numbers = {}
        for number in string.gmatch(rest or '', '%-?%d+') do numbers[#numbers + 1] = tonumber(number) end
        if was == letter and #numbers == kind.numbers then
            counter.held, counter.moved = kind.current(numbers, terms)
        elseif not was or was == letter then
            return redis.error_reply('FOREIGN the key is not ours')
        end
        counter.calls = calls
        for at = 1, #calls, 16 do
            if string.sub(calls, at, at + 15) == call then counter.known, known = true, true end
        end
    end
    counter.room = counter.known or kind.room(counter.held, terms)
    if enforced and not counter.room then full = false end
    -- What only reports goes uncounted rather than in anybody's way.
    counter.barred = not counter.held and may < (enforced and 1 or 2)
    if enforced and counter.barred then lacking = true end
    counters[place] = counter
end

-- Changes them. A call that is known was counted when it was sent the first time.
local done = 0
for place, counter in ipairs(counters) do
    local kind, changed = counter.kind, false
    if known then
        done = 1
    elseif verb == 'take' then
        if full and lacking then
            done = 2
        elseif full then
            done = 1
            if counter.barred then counter.room = false end
            if counter.room then
                counter.made = counter.held and 0 or 1
                counter.held, counter.more = kind.take(counter.held, counter.terms, counter.tokens)
                changed = true
            end
        end
    elseif verb == 'settle' or verb == 'undo' or verb == 'begin' then
        if kind[verb] and (counter.held or verb == 'settle' or verb == 'begin' and not counter.barred) then
            counter.made = counter.held and 0 or 1
            counter.held = kind[verb](counter.held, counter.terms, counter.tokens)
            changed, done = true, 1
        end
    elseif verb ~= 'read' then
        return redis.error_reply('ARGUMENTS are none of ours')
    end
    if counter.held and (changed or counter.moved) then
        local numbers, calls = kind.write and kind.write(counter.held) or counter.held, counter.calls
        for at, number in ipairs(numbers) do numbers[at] = string.format('%.0f', number) end
        if changed then calls = string.sub(call .. calls, 1, 16 * CALLS) end
        counter.numbers = table.concat(numbers, ' ')
        local stay = math.max(0, kind.over(counter.held, counter.terms) - now) + SWEEP
        local text = calls .. ';' .. counter.letter .. counter.numbers
        redis.call('SET', KEYS[place], text, 'PX', string.format('%.0f', stay))
    end
end

local answer = { now, done }
for _, counter in ipairs(counters) do
    if counter.held and not counter.numbers then
        local numbers = counter.kind.write and counter.kind.write(counter.held) or counter.held
        for at, number in ipairs(numbers) do numbers[at] = string.format('%.0f', number) end
        counter.numbers = table.concat(numbers, ' ')
    end
    answer[#answer + 1] = counter.room and 1 or 0
    answer[#answer + 1] = counter.more
    answer[#answer + 1] = counter.made
    answer[#answer + 1] = counter.numbers or ''
end
return answer
