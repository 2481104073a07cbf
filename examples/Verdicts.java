/* Prints each verdict once, also if it is delivered repeatedly. With Kafka's client jars in libs/:
   java -cp 'libs/*' Verdicts.java localhost:9092 */
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.StringDeserializer;

public class Verdicts {
    public static void main(String[] arguments) {
        Map<String, Object> options = Map.of(
            "bootstrap.servers", arguments[0],
            "group.id", "my-java-alerts",
            "auto.offset.reset", "earliest");
        Set<String> seen = new HashSet<>(); // in production: a table with the primary key ce_id
        try (var consumer = new KafkaConsumer<>(options, new StringDeserializer(), new StringDeserializer())) {
            consumer.subscribe(List.of("verdict"));
            while (true) {
                for (ConsumerRecord<String, String> message : consumer.poll(Duration.ofSeconds(1))) {
                    var identity = new String(message.headers().lastHeader("ce_id").value(), StandardCharsets.UTF_8);
                    if (seen.add(identity)) {
                        System.out.println(message.key() + " " + message.value());
                    }
                }
            }
        }
    }
}
