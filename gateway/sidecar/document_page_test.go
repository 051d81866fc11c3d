package main

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"hearth.dev/meshlink/internal/codes"
)

const statusPage = "../../docs/sidecar-status.md"

// fieldsOf lists every field of the document as a reader would write it:
// upstreams[].bulk.verdict.
func fieldsOf(kind reflect.Type, prefix string) []string {
	for kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	if kind.Kind() == reflect.Slice && kind.Elem().Kind() == reflect.Struct && kind.Elem().PkgPath() == reflect.TypeFor[Document]().PkgPath() {
		return fieldsOf(kind.Elem(), prefix+"[]")
	}
	if kind.Kind() != reflect.Struct || kind == reflect.TypeFor[time.Time]() || kind.PkgPath() != reflect.TypeFor[Document]().PkgPath() {
		return []string{prefix}
	}
	var fields []string
	for field := range kind.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if prefix != "" {
			name = prefix + "." + name
		}
		fields = append(fields, fieldsOf(field.Type, name)...)
	}
	return fields
}

func TestThePageOfTheStatusDocumentDescribesEveryFieldAndNoOther(t *testing.T) {
	page, err := os.ReadFile(statusPage)
	if err != nil {
		t.Fatal(err)
	}
	var described []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z][A-Za-z0-9.\\[\\]]*)` \\| (.{5,}) \\|$").FindAllStringSubmatch(string(page), -1) {
		described = append(described, row[1])
	}
	want := fieldsOf(reflect.TypeFor[Document](), "")
	slices.Sort(described)
	slices.Sort(want)
	for _, field := range want {
		if !slices.Contains(described, field) {
			t.Errorf("%s does not describe %s", statusPage, field)
		}
	}
	for _, field := range described {
		if !slices.Contains(want, field) {
			t.Errorf("%s describes %s, which is not in the document", statusPage, field)
		}
	}
}

func TestThePageOfTheStatusDocumentHasEveryCodeWithItsFix(t *testing.T) {
	page, err := os.ReadFile(statusPage)
	if err != nil {
		t.Fatal(err)
	}
	for code, meaning := range codes.All() {
		if !strings.Contains(string(page), "`"+string(code)+"`") || !strings.Contains(string(page), meaning.Fix) {
			t.Errorf("%s wants a row for %s with its fix: %s", statusPage, code, meaning.Fix)
		}
	}
}
