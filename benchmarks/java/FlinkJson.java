import java.io.IOException;
import java.util.HashSet;
import java.util.Set;
import org.apache.flink.api.common.eventtime.WatermarkStrategy;
import org.apache.flink.api.common.functions.OpenContext;
import org.apache.flink.api.common.serialization.AbstractDeserializationSchema;
import org.apache.flink.api.common.state.MapState;
import org.apache.flink.api.common.state.MapStateDescriptor;
import org.apache.flink.api.common.typeinfo.Types;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.connector.kafka.source.KafkaSource;
import org.apache.flink.connector.kafka.source.enumerator.initializer.OffsetsInitializer;
import org.apache.flink.streaming.api.environment.StreamExecutionEnvironment;
import org.apache.flink.streaming.api.functions.KeyedProcessFunction;
import org.apache.flink.streaming.api.functions.sink.v2.DiscardingSink;
import org.apache.flink.util.Collector;

/** Flink, parallelism 1: one JSON record an event, state keyed by cluster, checkpoints every five seconds. */
public final class FlinkJson {
  private static Counting counting;
  private static Counting.Lines totalLines;
  private static Counting.Lines warningLines;

  /** BOOTSTRAP TOPIC ROWS FOLDER hashmap|rocksdb. */
  public static void main(String[] arguments) throws Exception {
    counting = new Counting(Long.parseLong(arguments[2]), arguments[3]);
    totalLines = counting.lines("totals.tsv");
    warningLines = counting.lines("warnings.tsv");
    StreamExecutionEnvironment environment =
        StreamExecutionEnvironment.createLocalEnvironment(1, settings(arguments[3], arguments[4]));
    KafkaSource<Event.Data> source = KafkaSource.<Event.Data>builder()
        .setBootstrapServers(arguments[0])
        .setTopics(arguments[1])
        .setGroupId("bench-" + System.nanoTime())
        .setStartingOffsets(OffsetsInitializer.earliest())
        .setBounded(OffsetsInitializer.latest())
        .setValueOnlyDeserializer(new Json())
        .setProperty("max.poll.records", "10000")
        .build();
    environment.fromSource(source, WatermarkStrategy.noWatermarks(), "events")
        .keyBy(data -> data.cluster)
        .process(new Count())
        .sinkTo(new DiscardingSink<>());
    environment.execute();
    totalLines.close();
    warningLines.close();
    Counting.done();
  }

  private static Configuration settings(String folder, String backend) {
    Configuration settings = new Configuration();
    settings.setString("state.backend.type", backend);
    settings.setString("execution.checkpointing.interval", "5s");
    settings.setString("execution.checkpointing.dir", "file://" + folder + "/checkpoints");
    settings.setString("execution.checkpointing.incremental", "true");
    settings.setString("taskmanager.memory.managed.size", "256m");
    settings.setString("io.tmp.dirs", folder);
    settings.setString("pipeline.object-reuse", "true");
    return settings;
  }

  /** Reads a CloudEvent. */
  static final class Json extends AbstractDeserializationSchema<Event.Data> {
    @Override
    public Event.Data deserialize(byte[] json) throws IOException {
      return Event.read(json);
    }
  }

  /** Counts the events of a cluster; at the end of the input, each cluster's timer leaves its counts. */
  static final class Count extends KeyedProcessFunction<String, Event.Data, Long> {
    private transient MapState<String, Long> totals;
    private transient MapState<String, Long> warnings;
    private transient Set<String> clusters;

    @Override
    public void open(OpenContext context) {
      totals = getRuntimeContext().getMapState(new MapStateDescriptor<>("totals", Types.STRING, Types.LONG));
      warnings = getRuntimeContext().getMapState(new MapStateDescriptor<>("warnings", Types.STRING, Types.LONG));
      clusters = new HashSet<>();
    }

    @Override
    public void processElement(Event.Data data, Context context, Collector<Long> out) throws Exception {
      if (clusters.add(data.cluster)) {
        context.timerService().registerEventTimeTimer(Long.MAX_VALUE);
      }
      add(totals, data.namespace, data.count);
      if (data.type.equals("Warning")) {
        add(warnings, data.namespace + "\t" + Event.ofObject(data), data.count);
      }
      counting.add(1);
    }

    private static void add(MapState<String, Long> state, String key, long count) throws Exception {
      Long before = state.get(key);
      state.put(key, before == null ? count : before + count);
    }

    @Override
    public void onTimer(long timestamp, OnTimerContext context, Collector<Long> out) throws Exception {
      String cluster = context.getCurrentKey();
      for (var entry : totals.entries()) {
        totalLines.add(cluster + "\t" + entry.getKey(), entry.getValue());
      }
      for (var entry : warnings.entries()) {
        warningLines.add(cluster + "\t" + entry.getKey(), entry.getValue());
      }
    }
  }
}
