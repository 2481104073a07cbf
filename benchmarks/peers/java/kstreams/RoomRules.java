import java.time.Duration;
import java.util.List;
import java.util.PriorityQueue;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.common.serialization.Serde;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.processor.PunctuationType;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;
import org.apache.kafka.streams.state.Stores;

/** The job on Kafka Streams: RoomRules BROKER PREFIX VERDICTS STATE_DIR. It runs until SIGTERM. */
public final class RoomRules {
    static final String STORE = "rooms";

    /** Judges a room when one of its events comes, and once a second of stream time where a deadline has passed. */
    static final class Rules implements Processor<String, byte[], String, String> {
        record Deadline(long at, String room) {}

        private final PriorityQueue<Deadline> deadlines = new PriorityQueue<>((a, b) -> Long.compare(a.at, b.at));
        private ProcessorContext<String, String> context;
        private KeyValueStore<String, Room> rooms;

        @Override public void init(ProcessorContext<String, String> context) {
            this.context = context;
            rooms = context.getStateStore(STORE);
            try (var stored = rooms.all()) {
                stored.forEachRemaining(each -> note(each.key, each.value));
            }
            context.schedule(Duration.ofSeconds(1), PunctuationType.STREAM_TIME, now -> sweep());
        }

        private long clock() {
            return context.currentStreamTimeMs() - Room.LATENESS_MS;
        }

        @Override public void process(Record<String, byte[]> record) {
            Room.Event event = Events.of(context.recordMetadata().orElseThrow().topic(), record.value());
            if (event.kind == Room.BUYER_COMMENT || event.at < clock()) return;
            Room room = rooms.get(event.room);
            if (room == null) room = new Room();
            room.add(event);
            judge(event.room, room);
        }

        private void judge(String name, Room room) {
            long before = room.deadline();
            room.advance(clock(), (rule, at) -> context.forward(new Record<>(name, Room.json(name, rule, at), at)));
            rooms.put(name, room);
            if (room.deadline() != before) note(name, room);
        }

        private void note(String name, Room room) {
            if (room.deadline() != Long.MAX_VALUE) deadlines.add(new Deadline(room.deadline(), name));
        }

        private void sweep() {
            while (!deadlines.isEmpty() && deadlines.peek().at < clock()) {
                String name = deadlines.poll().room;
                Room room = rooms.get(name);
                if (room.deadline() < clock()) judge(name, room);
            }
        }
    }

    public static void main(String[] args) throws Exception {
        Serde<Room> serde = Serdes.serdeFrom((topic, room) -> room == null ? null : room.toBytes(),
            (topic, bytes) -> bytes == null ? null : Room.fromBytes(bytes));
        StreamsBuilder builder = new StreamsBuilder();
        builder.addStateStore(Stores.keyValueStoreBuilder(
            Stores.persistentKeyValueStore(STORE), Serdes.String(), serde).withCachingEnabled());
        builder.stream(List.of(args[1] + "buyer-entry", args[1] + "comment", args[1] + "frame-status"),
                Consumed.with(Serdes.String(), Serdes.ByteArray()))
            .process(Rules::new, STORE)
            .to(args[2], Produced.with(Serdes.String(), Serdes.String()));
        Properties config = new Properties();
        config.put(StreamsConfig.APPLICATION_ID_CONFIG, args[2]);
        config.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, args[0]);
        config.put(StreamsConfig.STATE_DIR_CONFIG, args[3]);
        config.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, StreamsConfig.EXACTLY_ONCE_V2);
        config.put(StreamsConfig.consumerPrefix("auto.offset.reset"), "earliest");
        KafkaStreams streams = new KafkaStreams(builder.build(), config);
        CountDownLatch failed = new CountDownLatch(1);
        streams.setStateListener((now, before) -> {
            if (now == KafkaStreams.State.ERROR) failed.countDown();
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(20))));
        streams.start();
        failed.await();
        System.exit(1);
    }
}
