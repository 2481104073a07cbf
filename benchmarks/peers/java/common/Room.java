import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/** The three rules for one room, as in room.py. A POJO, so that Flink can store it; Kafka Streams stores its bytes. */
public class Room {
    public static final int ENTRY = 0, HOST_COMMENT = 1, FRAME = 2, BUYER_COMMENT = 3;
    public static final long LATENESS_MS = 2_000, GREETING_MS = 10_000, ABSENCE_MS = 300_000, BLACK_MS = 120_000;
    public static final long NONE = -1;

    /** What the rules need of an event. */
    public static class Event {
        public String room;
        public long at;
        public int kind;
        public boolean face, black;

        boolean before(Event other) {
            return at != other.at ? at < other.at : kind < other.kind;
        }
    }

    /** Takes the violations that are found. */
    public interface Found {
        void verdict(String rule, long at);
    }

    /** Events above the clock, in order. */
    public List<Event> waiting = new ArrayList<>();
    /** Times of entries without an answer. */
    public List<Long> entries = new ArrayList<>();
    public int misses;
    public long absentSince = NONE, blackSince = NONE;
    public boolean absenceFound, blackFound;

    /** Keep an event until its time comes. */
    public void add(Event event) {
        int place = waiting.size();
        while (place > 0 && event.before(waiting.get(place - 1))) place--;
        waiting.add(place, event);
    }

    /** The next deadline of an entry; the largest number if there is none. */
    public long deadline() {
        return entries.isEmpty() ? Long.MAX_VALUE : entries.get(0) + GREETING_MS;
    }

    /** Judge everything below the clock; an event comes before a deadline of the same time. */
    public void advance(long clock, Found found) {
        int judged = 0;
        for (; judged < waiting.size() && waiting.get(judged).at < clock; judged++) {
            expire(waiting.get(judged).at, found);
            apply(waiting.get(judged), found);
        }
        waiting.subList(0, judged).clear();
        expire(clock, found);
    }

    private void expire(long before, Found found) {
        while (deadline() < before) {
            long at = entries.remove(0) + GREETING_MS;
            if (++misses == 3) {
                misses = 0;
                found.verdict("greeting-miss", at);
            }
        }
    }

    private void apply(Event event, Found found) {
        if (event.kind == ENTRY) {
            entries.add(event.at);
        } else if (event.kind == HOST_COMMENT) {
            if (!entries.isEmpty()) misses = 0;
            entries.clear();
            if (absentSince != NONE) absentSince = event.at;
            absenceFound = false;
        } else {
            if (event.face) absentSince = NONE;
            else if (absentSince == NONE) absentSince = event.at;
            absenceFound &= !event.face;
            if (absentSince != NONE && !absenceFound && event.at - absentSince >= ABSENCE_MS) {
                absenceFound = true;
                found.verdict("absence", absentSince + ABSENCE_MS);
            }
            if (!event.black) blackSince = NONE;
            else if (blackSince == NONE) blackSince = event.at;
            blackFound &= event.black;
            if (blackSince != NONE && !blackFound && event.at - blackSince >= BLACK_MS) {
                blackFound = true;
                found.verdict("black-screen", blackSince + BLACK_MS);
            }
        }
    }

    /** A verdict as it is published. */
    public static String json(String room, String rule, long at) {
        return "{\"room_id\":\"" + room + "\",\"rule\":\"" + rule + "\",\"at\":" + at + "}";
    }

    public byte[] toBytes() {
        ByteBuffer bytes = ByteBuffer.allocate(30 + 8 * entries.size() + 10 * waiting.size());
        bytes.putInt(misses).putLong(absentSince).putLong(blackSince);
        bytes.put((byte) ((absenceFound ? 1 : 0) | (blackFound ? 2 : 0))).putInt(entries.size());
        entries.forEach(bytes::putLong);
        for (Event event : waiting) {
            bytes.putLong(event.at).put((byte) event.kind);
            bytes.put((byte) ((event.face ? 1 : 0) | (event.black ? 2 : 0)));
        }
        return java.util.Arrays.copyOf(bytes.array(), bytes.position());
    }

    public static Room fromBytes(byte[] from) {
        ByteBuffer bytes = ByteBuffer.wrap(from);
        Room room = new Room();
        room.misses = bytes.getInt();
        room.absentSince = bytes.getLong();
        room.blackSince = bytes.getLong();
        byte flags = bytes.get();
        room.absenceFound = (flags & 1) != 0;
        room.blackFound = (flags & 2) != 0;
        for (int left = bytes.getInt(); left > 0; left--) room.entries.add(bytes.getLong());
        while (bytes.hasRemaining()) {
            Event event = new Event();
            event.at = bytes.getLong();
            event.kind = bytes.get();
            byte shown = bytes.get();
            event.face = (shown & 1) != 0;
            event.black = (shown & 2) != 0;
            room.waiting.add(event);
        }
        return room;
    }
}
