package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

func echoServer(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /-/echo", echo)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server.URL + "/-/echo"
}

func TestEchoSendsBytesBackWhileMoreAreComing(t *testing.T) {
	reader, writer := io.Pipe()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, echoServer(t), reader)
	if err != nil {
		t.Fatal(err)
	}
	go writer.Write([]byte("first"))
	time.AfterFunc(10*time.Second, func() { writer.CloseWithError(io.ErrUnexpectedEOF) })
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if kind := response.Header.Get("Content-Type"); kind != "application/octet-stream" {
		t.Errorf("content type %q", kind)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(response.Body, got); err != nil || string(got) != "first" {
		t.Fatalf("before the body ended: %q, %v", got, err)
	}
	go func() { writer.Write([]byte("last")); writer.Close() }()
	if rest, err := io.ReadAll(response.Body); err != nil || string(rest) != "last" {
		t.Errorf("the rest: %q, %v", rest, err)
	}
}

func TestEchoRefusesMoreThan32MiB(t *testing.T) {
	url := echoServer(t)
	response, err := http.Post(url, "application/octet-stream", bytes.NewReader(make([]byte, echoBytesMax+1)))
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusRequestEntityTooLarge {
		t.Errorf("declared too large: %d, want 413", response.StatusCode)
	}
	undeclared := io.LimitReader(bytes.NewReader(make([]byte, echoBytesMax+1)), echoBytesMax+1)
	response, err = http.Post(url, "application/octet-stream", undeclared)
	if err != nil {
		return // cut while the body was still going: fine
	}
	defer response.Body.Close()
	if n, err := io.Copy(io.Discard, response.Body); err == nil || n > echoBytesMax {
		t.Errorf("undeclared: %d bytes came back and error %v, want a cut", n, err)
	}
}
