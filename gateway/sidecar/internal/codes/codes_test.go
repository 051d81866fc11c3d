package codes

import (
	"strings"
	"testing"
)

func TestEveryCodeHasAStatusAPublicTextAndAFix(t *testing.T) {
	for code, meaning := range All() {
		if meaning.Status < 400 || meaning.Public == "" || meaning.Fix == "" || !strings.HasPrefix(string(code), "mesh_") {
			t.Errorf("%s is incomplete: %+v", code, meaning)
		}
	}
}
