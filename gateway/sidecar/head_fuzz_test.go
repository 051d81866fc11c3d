package main

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
)

// FuzzParseHead holds the parser to another one: whatever it accepts is, for Go's
// own HTTP parser too, a CONNECT for the very same name and without a body.
func FuzzParseHead(f *testing.F) {
	for _, seed := range []string{
		"CONNECT gpu HTTP/1.1",
		"CONNECT gpu HTTP/1.1\r\nHost: gpu\r\nUser-Agent: x/1.0",
		"CONNECT gpu:80 HTTP/1.1",
		"CONNECT 127.0.0.1:22 HTTP/1.1",
		"connect gpu HTTP/1.1",
		"CONNECT  gpu HTTP/1.1",
		"CONNECT gpu HTTP/1.0",
		"CONNECT http://gpu/ HTTP/1.1",
		"CONNECT gpu HTTP/1.1\nHost: x",
		"CONNECT gpu HTTP/1.1\r\n Host: folded",
		"CONNECT gpu HTTP/1.1\r\nContent-Length: 1",
		"CONNECT gpu HTTP/1.1\r\ntransfer-encoding: chunked",
		"CONNECT gpu HTTP/1.1\r\nHost : x",
		"CONNECT gpu HTTP/1.1\r\nX: a\x00b",
		"GET / HTTP/1.1\r\nHost: gpu",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, head string) {
		name, err := parseHead(head)
		if err != nil {
			return
		}
		request, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head + "\r\n\r\n")))
		if err != nil {
			t.Fatalf("accepted %q as %q, which is no HTTP: %v", head, name, err)
		}
		if request.Method != http.MethodConnect || request.RequestURI != name || request.ContentLength > 0 || len(request.TransferEncoding) > 0 {
			t.Fatalf("accepted %q as %q, which others read as %s %s", head, name, request.Method, request.RequestURI)
		}
		if !upstreamName.MatchString(name) {
			t.Fatalf("accepted the name %q", name)
		}
	})
}
