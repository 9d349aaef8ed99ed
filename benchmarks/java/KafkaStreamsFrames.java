import com.github.luben.zstd.Zstd;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.HashMap;
import java.util.Map;
import org.apache.arrow.memory.BufferAllocator;
import org.apache.arrow.memory.RootAllocator;
import org.apache.arrow.vector.BaseIntVector;
import org.apache.arrow.vector.FieldVector;
import org.apache.arrow.vector.VarCharVector;
import org.apache.arrow.vector.VectorSchemaRoot;
import org.apache.arrow.vector.ipc.ArrowStreamReader;
import org.apache.kafka.streams.processor.api.Record;

/**
 * Kafka Streams on the same frames that Abdrift reads: counted by dictionary codes within a frame, so that a store is
 * asked once for each key of a frame rather than once for each row.
 */
final class KafkaStreamsFrames extends KafkaStreamsCounts {
  private static final int POLL_RECORDS = 500;
  private final BufferAllocator allocator = new RootAllocator();

  public static void main(String[] arguments) {
    run(arguments, KafkaStreamsFrames::new, POLL_RECORDS);
  }

  /** A dictionary-encoded column: codes by row, the texts that they stand for, and the first code of the same text. */
  private record Column(BaseIntVector codes, String[] texts, int[] first) {
    static Column of(ArrowStreamReader reader, VectorSchemaRoot root, String name) throws IOException {
      FieldVector codes = root.getVector(name);
      long id = codes.getField().getDictionary().getId();
      VarCharVector values = (VarCharVector) reader.getDictionaryVectors().get(id).getVector();
      String[] texts = new String[values.getValueCount()];
      int[] first = new int[texts.length];
      Map<String, Integer> known = new HashMap<>();
      for (int i = 0; i < texts.length; i++) {
        texts[i] = values.getObject(i).toString();
        Integer before = known.putIfAbsent(texts[i], i);
        first[i] = before == null ? i : before;
      }
      return new Column((BaseIntVector) codes, texts, first);
    }

    int code(int row) {
      return first[(int) codes.getValueAsLong(row)];
    }

    String text(int row) {
      return texts[code(row)];
    }
  }

  /** A column of integers, sent as they are or as distances from a base that the field's metadata names. */
  private record Numbers(BaseIntVector distances, long base) {
    static Numbers of(VectorSchemaRoot root, String name) {
      FieldVector vector = root.getVector(name);
      String base = vector.getField().getMetadata().get("abdrift.base");
      return new Numbers((BaseIntVector) vector, base == null ? 0 : Long.parseLong(base));
    }

    long get(int row) {
      return base + distances.getValueAsLong(row);
    }
  }

  /** A Warning's key within a frame. */
  private record Key(int place, int kind, int name, long minute) {}

  @Override
  long count(Record<byte[], byte[]> record) throws IOException {
    if (record.value() == null) {
      return 0; // A tick of an idle Abdrift worker.
    }
    String size = new String(record.headers().lastHeader("abdrift-size").value(), StandardCharsets.US_ASCII);
    byte[] stream = Zstd.decompress(record.value(), Integer.parseInt(size));
    try (ArrowStreamReader reader = new ArrowStreamReader(new ByteArrayInputStream(stream), allocator)) {
      reader.loadNextBatch();
      VectorSchemaRoot root = reader.getVectorSchemaRoot();
      count(reader, root);
      return root.getRowCount();
    }
  }

  private void count(ArrowStreamReader reader, VectorSchemaRoot root) throws IOException {
    Column cluster = Column.of(reader, root, "cluster");
    Column namespace = Column.of(reader, root, "namespace");
    Column type = Column.of(reader, root, "type");
    Column kind = Column.of(reader, root, "object_kind");
    Column name = Column.of(reader, root, "object_name");
    Numbers counts = Numbers.of(root, "count");
    Numbers times = Numbers.of(root, "last_ms");
    int namespaces = namespace.texts().length;
    int warning = java.util.Arrays.asList(type.texts()).indexOf("Warning");

    long[] byPlace = new long[cluster.texts().length * namespaces];
    Map<Key, Long> byKey = new HashMap<>();
    for (int row = 0; row < root.getRowCount(); row++) {
      int place = cluster.code(row) * namespaces + namespace.code(row);
      long count = counts.get(row);
      byPlace[place] += count;
      if (type.code(row) == warning) {
        Key key = new Key(place, kind.code(row), name.code(row), times.get(row) / Counting.MINUTE_MS);
        byKey.merge(key, count, Long::sum);
      }
    }
    for (int place = 0; place < byPlace.length; place++) {
      if (byPlace[place] > 0) {
        total(text(cluster, namespace, place, namespaces), byPlace[place]);
      }
    }
    byKey.forEach((key, count) -> warning(
        text(cluster, namespace, key.place(), namespaces) + "\t" + kind.texts()[key.kind()] + "\t"
            + name.texts()[key.name()] + "\t" + key.minute(),
        count));
  }

  private static String text(Column cluster, Column namespace, int place, int namespaces) {
    return cluster.texts()[place / namespaces] + "\t" + namespace.texts()[place % namespaces];
  }
}
