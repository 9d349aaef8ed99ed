package main

import (
	"encoding/json"
	"fmt"
	"io"
	"reflect"
	"sort"
	"strings"

	"github.com/argoproj/argo-cd/gitops-engine/pkg/utils/kube/scheme"
	"k8s.io/apimachinery/pkg/runtime/schema"
	smd "sigs.k8s.io/structured-merge-diff/v6/schema"
)

// writeSchema prints the types that Kubernetes publishes, a line each, in the words of the drift judge's table:
// "fields" of a struct, those that are "pointers" and the "zeros" it writes of others, "values" of a map, "items" of a
// list with its "keys" or "set", "atomic" and "granular" where it says so, "scalar" otherwise.
func writeSchema(w io.Writer) error {
	published := &scheme.StaticParser().Schema
	kept, written := pointers(), zeros()
	lines := make([]string, 0, len(published.Types))
	for _, t := range published.Types {
		described := describe(t.Atom)
		if names := kept[t.Name]; len(names) > 0 {
			described["pointers"] = names
		}
		if zeros := written[t.Name]; len(zeros) > 0 {
			described["zeros"] = zeros
		}
		raw, err := json.Marshal(described)
		if err != nil {
			return err
		}
		lines = append(lines, fmt.Sprintf("%q: %s", t.Name, raw))
	}
	kinds := map[string]string{}
	for gvk := range scheme.Scheme.AllKnownTypes() {
		if name, ok := typeName(gvk); ok && scheme.StaticParser().Type(name).IsValid() {
			kinds[gvk.GroupVersion().String()+" "+gvk.Kind] = name
		}
	}
	raw, err := json.Marshal(kinds)
	if err != nil {
		return err
	}
	filled, err := json.MarshalIndent(defaults(), "", " ")
	if err != nil {
		return err
	}
	sort.Strings(lines)
	_, err = fmt.Fprintf(w, "{\"kinds\": %s,\n\"defaults\": %s,\n\"types\": {\n%s\n}}\n",
		raw, filled, strings.Join(lines, ",\n"))
	return err
}

func describe(atom smd.Atom) map[string]any {
	switch {
	case atom.Map != nil && len(atom.Map.Fields) > 0:
		fields := map[string]any{}
		for _, field := range atom.Map.Fields {
			fields[field.Name] = reference(field.Type)
		}
		return withRelationship(map[string]any{"fields": fields}, atom.Map.ElementRelationship)
	case atom.Map != nil:
		return withRelationship(map[string]any{"values": reference(atom.Map.ElementType)}, atom.Map.ElementRelationship)
	case atom.List != nil:
		list := map[string]any{"items": reference(atom.List.ElementType)}
		if atom.List.ElementRelationship == smd.Associative && len(atom.List.Keys) > 0 {
			list["keys"] = atom.List.Keys
		} else if atom.List.ElementRelationship == smd.Associative {
			list["set"] = true
		}
		return list
	case atom.Scalar != nil:
		return map[string]any{"scalar": string(*atom.Scalar)}
	default:
		return map[string]any{}
	}
}

func withRelationship(described map[string]any, relationship smd.ElementRelationship) map[string]any {
	switch relationship {
	case smd.Atomic:
		described["atomic"] = true
	case smd.Separable:
		described["granular"] = true
	}
	return described
}

func reference(ref smd.TypeRef) any {
	if ref.NamedType != nil && ref.ElementRelationship == nil {
		return *ref.NamedType
	}
	if ref.NamedType != nil {
		return withRelationship(map[string]any{"type": *ref.NamedType}, *ref.ElementRelationship)
	}
	described := describe(ref.Inlined)
	if ref.ElementRelationship != nil {
		return withRelationship(described, *ref.ElementRelationship)
	}
	return described
}

// typeName is a kind's name in the published schema: its Go package's path read backwards from k8s.io.
func typeName(gvk schema.GroupVersionKind) (string, bool) {
	t, ok := scheme.Scheme.AllKnownTypes()[gvk]
	if !ok {
		return "", false
	}
	return nameOf(t)
}

func nameOf(t reflect.Type) (string, bool) {
	path, ok := strings.CutPrefix(t.PkgPath(), "k8s.io/api/")
	if !ok {
		return "", false
	}
	return "io.k8s.api." + strings.ReplaceAll(path, "/", ".") + "." + t.Name(), true
}
