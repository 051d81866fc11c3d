package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"hearth.dev/meshlink/internal/codes"
)

const (
	answerTimeout  = 5 * time.Second
	lingerTimeout  = 500 * time.Millisecond
	lingerBytesMax = 64 << 10
)

// accept answers that the tunnel is open, and by which way as far as that is known
// without asking anybody.
func (s *ConnectServer) accept(conn net.Conn, tunnel *Tunnel) error {
	if err := conn.SetWriteDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	way := wayOf(tunnel.Peer, s.dialer.book.latest(tunnel.Peer.PublicKey))
	head := fmt.Sprintf("HTTP/1.1 200 Connection established\r\nMesh-Tunnel: %s\r\nMesh-Path: %s\r\n", tunnel.ID, way.Kind)
	if way.Measured {
		head += fmt.Sprintf("Mesh-Rtt-Ms: %.2f\r\n", milliseconds(way.RTT))
	}
	if way.Kind == "derp" {
		head += fmt.Sprintf("Mesh-Derp: %s\r\n", way.Derp)
	}
	if _, err := io.WriteString(conn, head+"\r\n"); err != nil {
		return err
	}
	return conn.SetDeadline(time.Time{})
}

// refuse writes the one shape of refusal and lets the client read it.
func (s *ConnectServer) refuse(conn *net.TCPConn, trouble *codes.Error) {
	s.metrics.refusal(trouble.Code)
	s.log.Info("tunnel refused", "code", trouble.Code, "detail", trouble.Detail)
	meaning := trouble.Code.Meaning()
	body, err := json.Marshal(map[string]string{"code": string(trouble.Code), "message": meaning.Public})
	if err != nil {
		return
	}
	conn.SetDeadline(time.Now().Add(answerTimeout))
	fmt.Fprintf(conn, "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s",
		meaning.Status, http.StatusText(meaning.Status), len(body), body)
	conn.CloseWrite()
	// Closing with unread bytes would reset the connection and take the answer along.
	conn.SetReadDeadline(time.Now().Add(lingerTimeout))
	io.CopyN(io.Discard, conn, lingerBytesMax)
}
