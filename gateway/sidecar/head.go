package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"hearth.dev/meshlink/internal/codes"
)

const (
	headBytesMax = 4 << 10
	headLinesMax = 32
	headTimeout  = 5 * time.Second
)

// errNoHead means that the client left before its head was complete: there is
// nobody to answer.
var errNoHead = errors.New("the client left before its request was complete")

// readHead reads one request head and returns the name it asks for. Bytes after
// the head are refused: a client that speaks before the answer would have to be
// buffered, and could not be told apart from one that has left.
func readHead(conn net.Conn) (name string, err error) {
	if err := conn.SetReadDeadline(time.Now().Add(headTimeout)); err != nil {
		return "", err
	}
	defer conn.SetReadDeadline(time.Time{})
	buffer := make([]byte, headBytesMax)
	have := 0
	for {
		n, err := conn.Read(buffer[have:])
		have += n
		if end := bytes.Index(buffer[:have], []byte("\r\n\r\n")); end >= 0 {
			if have > end+4 {
				return "", codes.Fail(codes.BadRequest, "bytes came before the tunnel was open")
			}
			return parseHead(string(buffer[:end]))
		}
		switch {
		case have == len(buffer):
			return "", codes.Fail(codes.BadRequest, fmt.Sprintf("the head is larger than %d bytes", headBytesMax))
		case errors.Is(err, io.EOF) && have == 0:
			return "", errNoHead
		case isTimeout(err):
			return "", codes.Fail(codes.BadRequest, "the head was not complete within "+headTimeout.String())
		case err != nil:
			return "", errNoHead
		}
	}
}

// parseHead accepts `CONNECT name HTTP/1.1` with well-formed header lines and
// nothing else; the header lines themselves mean nothing here.
func parseHead(head string) (name string, err error) {
	lines := strings.Split(head, "\r\n")
	if len(lines) > headLinesMax {
		return "", codes.Fail(codes.BadRequest, fmt.Sprintf("more than %d header lines", headLinesMax))
	}
	parts := strings.Split(lines[0], " ")
	if len(parts) != 3 || parts[0] != "CONNECT" || parts[2] != "HTTP/1.1" {
		return "", codes.Fail(codes.BadRequest, "the request line is not CONNECT NAME HTTP/1.1")
	}
	if !upstreamName.MatchString(parts[1]) {
		return "", codes.Fail(codes.BadRequest, "the target is not a plain upstream name")
	}
	for _, line := range lines[1:] {
		if err := checkHeader(line); err != nil {
			return "", err
		}
	}
	return parts[1], nil
}

func checkHeader(line string) error {
	key, value, found := strings.Cut(line, ":")
	if !found || key == "" || strings.ContainsFunc(key, notToken) {
		return codes.Fail(codes.BadRequest, "a header line has no valid name")
	}
	if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return codes.Fail(codes.BadRequest, "a header value holds a control character")
	}
	if strings.EqualFold(key, "content-length") || strings.EqualFold(key, "transfer-encoding") {
		return codes.Fail(codes.BadRequest, "CONNECT has no body")
	}
	return nil
}

func notToken(r rune) bool {
	letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
	return !letter && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
}

func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
