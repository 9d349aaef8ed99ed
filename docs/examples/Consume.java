import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.StringJoiner;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.ConsumerRecords;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.StringDeserializer;

/**
 * Follows drift as a team of its own would: a consumer group that resumes where it stopped.
 *
 * <p>{@code java -cp kafka-clients.jar:jackson-databind.jar:... Consume.java HOST:PORT GROUP [--once]}; {@code --once}
 * ends where the topic ends.
 */
public final class Consume {
  private static final String TOPIC = "abdrift.fleet.drift.v1";
  private static final String FINDING = "dev.abdrift.fleet.drift.finding.v1";
  private static final ObjectMapper JSON = new ObjectMapper();

  /** Kept beside the effect (a column of the row that is written), replays change nothing there. */
  private final Map<String, Long> revisions = new HashMap<>();

  public static void main(String[] arguments) throws Exception {
    Properties settings = new Properties();
    settings.put("bootstrap.servers", arguments[0]);
    settings.put("group.id", arguments[1]);
    settings.put("auto.offset.reset", "earliest");
    // Committed below, once a record has had its effect: what a crash leaves uncommitted is read again.
    settings.put("enable.auto.commit", "false");
    boolean once = arguments.length > 2 && arguments[2].equals("--once");
    try (KafkaConsumer<String, byte[]> consumer =
        new KafkaConsumer<>(settings, new StringDeserializer(), new ByteArrayDeserializer())) {
      new Consume().run(consumer, once);
    }
  }

  private void run(KafkaConsumer<String, byte[]> consumer, boolean once) throws Exception {
    consumer.subscribe(List.of(TOPIC));
    do {
      ConsumerRecords<String, byte[]> records = consumer.poll(Duration.ofMillis(500));
      for (ConsumerRecord<String, byte[]> record : records) {
        handle(record);
      }
      if (!records.isEmpty()) {
        consumer.commitSync();
      }
    } while (!once || !hasReadAll(consumer));
  }

  /** Acts on one record. What is not known here is passed over: it may have come with a newer Abdrift. */
  private void handle(ConsumerRecord<String, byte[]> record) throws Exception {
    String key = record.key();
    if (key == null) {
      return;
    }
    if (record.value() == null) {
      revisions.remove(key);
      System.out.println("gone " + key);
      return;
    }
    JsonNode event = JSON.readTree(record.value());
    if (!event.path("type").asText().equals(FINDING)) {
      return;
    }
    JsonNode finding = event.path("data");
    long revision = finding.path("revision").asLong();
    if (revision <= revisions.getOrDefault(key, 0L)) {
      return; // a replay
    }
    revisions.put(key, revision);
    System.out.println(told(finding));
  }

  /** Returns a finding in one line. What is optional may be absent: {@code path} never returns null. */
  private static String told(JsonNode finding) throws Exception {
    JsonNode object = finding.path("object");
    String namespace = object.path("namespace").asText();
    String name = (namespace.isEmpty() ? "" : namespace + "/") + object.path("name").asText();
    StringJoiner fields = new StringJoiner(", ");
    for (JsonNode field : finding.path("fields")) {
      fields.add(field.path("path").asText() + " " + json(field, "old") + " -> " + json(field, "new"));
    }
    StringJoiner managers = new StringJoiner(", ", " by ", "").setEmptyValue("");
    finding.path("managers").forEach(manager -> managers.add(manager.asText()));
    String state = finding.path("state").asText() + " " + finding.path("kind").asText();
    String cluster = finding.path("cluster").path("name").asText();
    return state + " " + cluster + " " + object.path("kind").asText() + " " + name + ": " + fields + managers;
  }

  private static String json(JsonNode of, String name) throws Exception {
    return of.has(name) ? JSON.writeValueAsString(of.get(name)) : "null";
  }

  private static boolean hasReadAll(KafkaConsumer<String, byte[]> consumer) {
    return !consumer.assignment().isEmpty()
        && consumer.endOffsets(consumer.assignment()).entrySet().stream()
            .allMatch(end -> consumer.position(end.getKey()) >= end.getValue());
  }
}
