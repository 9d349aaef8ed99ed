import com.fasterxml.jackson.annotation.JsonIgnoreProperties;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.ObjectReader;
import java.io.IOException;

/** A CloudEvent with a Kubernetes Event in it: the fields that the job needs, the others passed over. */
@JsonIgnoreProperties(ignoreUnknown = true)
public final class Event {
  private static final ObjectReader READER = new ObjectMapper().readerFor(Event.class);

  /** The Kubernetes Event. */
  @JsonIgnoreProperties(ignoreUnknown = true)
  public static final class Data {
    public String cluster;
    public String namespace;
    public String type;
    public String object_kind;
    public String object_name;
    public long count;
    public long last_ms;
  }

  public Data data;

  static Data read(byte[] json) throws IOException {
    Event event = READER.readValue(json);
    return event.data;
  }

  static String total(Data data) {
    return data.cluster + "\t" + data.namespace;
  }

  static String warning(Data data) {
    return data.cluster + "\t" + data.namespace + "\t" + ofObject(data);
  }

  static String ofObject(Data data) {
    return data.object_kind + "\t" + data.object_name + "\t" + data.last_ms / Counting.MINUTE_MS;
  }
}
