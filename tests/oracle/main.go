// Command oracle answers the drift judge's questions with the engines that GitOps controllers use.
//
// It reads one JSON case a line ({"id", "live", "desired", "predicted_live"?, "options"?}) and writes one line of
// answers, an engine a key. `oracle schema` prints what Kubernetes publishes about its types instead.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

const maxLineBytes = 16 << 20

type options struct {
	Manager string   `json:"manager"`
	Ignore  []string `json:"ignore"`
}

type question struct {
	ID        string         `json:"id"`
	Live      map[string]any `json:"live"`
	Desired   map[string]any `json:"desired"`
	Predicted map[string]any `json:"predicted_live"`
	Options   options        `json:"options"`
}

type verdict struct {
	Modified bool     `json:"modified"`
	Paths    []string `json:"paths"`
	Skipped  bool     `json:"skipped,omitempty"`
	Error    string   `json:"error,omitempty"`
}

type answer struct {
	ID      string             `json:"id"`
	Engines map[string]verdict `json:"engines"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "oracle:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) > 1 && os.Args[1] == "schema" {
		return writeSchema(os.Stdout)
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, maxLineBytes)
	out := json.NewEncoder(os.Stdout)
	for lines.Scan() {
		var q question
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			return fmt.Errorf("a case is no JSON: %w", err)
		}
		if err := out.Encode(answer{ID: q.ID, Engines: ask(q)}); err != nil {
			return err
		}
	}
	return lines.Err()
}

func ask(q question) map[string]verdict {
	engines := map[string]func(question) verdict{
		"argo-client-side": argoClientSide,
		"flux-ssa":         fluxServerSide,
		"flux-jsondiff":    fluxJSONDiff,
	}
	if q.Predicted != nil {
		engines["argo-server-side"] = argoServerSide
	} else {
		engines["argo-structured-merge"] = argoStructuredMerge
	}
	answers := make(map[string]verdict, len(engines))
	for name, engine := range engines {
		answers[name] = guarded(engine, q)
	}
	return answers
}

// guarded turns an engine's panic into its answer: some engines assert types of what they are given.
func guarded(engine func(question) verdict, q question) (v verdict) {
	defer func() {
		if r := recover(); r != nil {
			v = verdict{Error: fmt.Sprint("panic: ", r)}
		}
	}()
	return engine(q)
}

func object(m map[string]any) *unstructured.Unstructured {
	if m == nil {
		return nil
	}
	raw, err := json.Marshal(m)
	if err != nil {
		panic(err)
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(raw); err != nil {
		panic(err)
	}
	return u
}
