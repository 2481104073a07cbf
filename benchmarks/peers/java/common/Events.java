import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.io.UncheckedIOException;

/** Decodes messages. */
final class Events {
    private static final ObjectMapper JSON = new ObjectMapper();

    private Events() {}

    static Room.Event of(String topic, byte[] value) {
        JsonNode message;
        try {
            message = JSON.readTree(value);
        } catch (IOException malformed) {
            throw new UncheckedIOException(malformed);
        }
        Room.Event event = new Room.Event();
        event.room = message.get("room_id").textValue();
        event.at = message.get("at").longValue();
        if (topic.endsWith("frame-status")) {
            event.kind = Room.FRAME;
            event.face = message.get("face").booleanValue();
            event.black = message.get("black").booleanValue();
        } else if (topic.endsWith("buyer-entry")) {
            event.kind = Room.ENTRY;
        } else {
            boolean host = message.get("author_id").equals(message.get("host_id"));
            event.kind = host ? Room.HOST_COMMENT : Room.BUYER_COMMENT;
        }
        return event;
    }
}
