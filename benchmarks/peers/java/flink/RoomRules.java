import java.nio.charset.StandardCharsets;
import java.time.Duration;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.state.ValueState;
import org.apache.flink.api.common.state.ValueStateDescriptor;
import org.apache.flink.api.common.typeinfo.TypeInformation;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.base.DeliveryGuarantee;
import org.apache.flink.connector.kafka.sink.KafkaRecordSerializationSchema;
import org.apache.flink.connector.kafka.sink.KafkaSink;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.connector.kafka.source.reader.deserializer.KafkaRecordDeserializationSchema;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.util.Collector;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;

/** The job on Flink: RoomRules BROKER PREFIX VERDICTS STATE_DIR. It ends with the input. */
public final class RoomRules {
    static final class Decode implements KafkaRecordDeserializationSchema<Room.Event> {
        @Override public void deserialize(ConsumerRecord<byte[], byte[]> record, Collector<Room.Event> out) {
            out.collect(Events.of(record.topic(), record.value()));
        }

        @Override public TypeInformation<Room.Event> getProducedType() {
            return TypeInformation.of(Room.Event.class);
        }
    }

    record Encode(String topic) implements KafkaRecordSerializationSchema<String> {
        @Override public ProducerRecord<byte[], byte[]> serialize(String verdict, KafkaSinkContext context, Long at) {
            return new ProducerRecord<>(topic, verdict.getBytes(StandardCharsets.UTF_8));
        }
    }

    /** Events wait for an event-time timer; timers of one tenth of a second are one. */
    static final class Rules extends KeyedProcessFunction<String, Room.Event, String> {
        static final long STEP_MS = 100;
        private transient ValueState<Room> state;

        @Override public void open(OpenContext context) {
            state = getRuntimeContext().getState(new ValueStateDescriptor<>("room", TypeInformation.of(Room.class)));
        }

        private static void wake(Context context, long after) {
            context.timerService().registerEventTimeTimer((after / STEP_MS + 1) * STEP_MS);
        }

        @Override public void processElement(Room.Event event, Context context, Collector<String> out) throws Exception {
            if (event.at <= context.timerService().currentWatermark()) return;
            Room room = state.value();
            if (room == null) room = new Room();
            room.add(event);
            state.update(room);
            wake(context, event.at);
        }

        @Override public void onTimer(long at, OnTimerContext context, Collector<String> out) throws Exception {
            Room room = state.value();
            room.advance(at, (rule, when) -> out.collect(Room.json(context.getCurrentKey(), rule, when)));
            state.update(room);
            if (!room.entries.isEmpty()) wake(context, room.deadline());
        }
    }

    public static void main(String[] args) throws Exception {
        Configuration config = new Configuration();
        config.setString("state.backend.type", "hashmap");
        config.setString("execution.checkpointing.interval", "1 s");
        config.setString("execution.checkpointing.storage", "filesystem");
        config.setString("execution.checkpointing.dir", "file://" + args[3]);
        StreamExecutionEnvironment env = StreamExecutionEnvironment.createLocalEnvironment(1, config);
        KafkaSource<Room.Event> source = KafkaSource.<Room.Event>builder()
            .setBootstrapServers(args[0]).setGroupId(args[2])
            .setTopics(args[1] + "buyer-entry", args[1] + "comment", args[1] + "frame-status")
            .setStartingOffsets(OffsetsInitializer.earliest()).setBounded(OffsetsInitializer.latest())
            .setDeserializer(new Decode()).build();
        WatermarkStrategy<Room.Event> clock = WatermarkStrategy
            .<Room.Event>forBoundedOutOfOrderness(Duration.ofMillis(Room.LATENESS_MS))
            .withTimestampAssigner((event, recorded) -> event.at)
            .withWatermarkAlignment("rooms", Duration.ofSeconds(30), Duration.ofMillis(100));
        KafkaSink<String> sink = KafkaSink.<String>builder().setBootstrapServers(args[0])
            .setDeliveryGuarantee(DeliveryGuarantee.EXACTLY_ONCE).setTransactionalIdPrefix(args[2])
            .setProperty("transaction.timeout.ms", "60000").setRecordSerializer(new Encode(args[2])).build();
        env.fromSource(source, clock, "events").uid("events")
            .filter(event -> event.kind != Room.BUYER_COMMENT)
            .keyBy(event -> event.room).process(new Rules()).uid("rules")
            .sinkTo(sink).uid("verdicts");
        env.execute("room rules");
    }
}
